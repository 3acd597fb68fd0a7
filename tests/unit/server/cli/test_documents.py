"""Files on disk to documents on the wire, and problems back to line and column."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rollout_sdk.engine.problems import Problem
from rollout_server.cli import documents
from rollout_server.cli.failures import CommandFailed, Exit, ServerRefused

FLAG = 'kind: Flag\nmetadata: {key: cart}\nspec: {default: "on"}\n'


def test_a_directory_is_read_whole_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "sub/c.json", "notes.txt", ".hidden.yaml", ".git/x.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FLAG, encoding="utf-8")
    found = [Path(name).relative_to(tmp_path).as_posix() for name in documents.paths([str(tmp_path)])]
    assert found == ["a.yml", "b.yaml", "sub/c.json"]


def test_a_file_that_is_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(FLAG, encoding="utf-8")
    (read,) = documents.load_all([str(path)], "production")
    (wire,) = documents.messages([read])
    assert (wire.kind, wire.key, wire.origin) == ("Flag", "cart", f"{path}:1:1")
    assert json.loads(wire.json) == {"kind": "Flag", "metadata": {"key": "cart"}, "spec": {"default": "on"}}


def test_the_overlay_of_the_environment_is_merged(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FLAG + "environments: {staging: {spec: {default: off}}}\n", encoding="utf-8")
    trees = [json.loads(documents.messages(documents.load_all([str(path)], name))[0].json) for name in ("x", "staging")]
    assert [tree["spec"]["default"] for tree in trees] == ["on", "off"]


@pytest.mark.parametrize("given", [[], ["/nonexistent.yaml"]])
def test_what_cannot_be_read_is_usage(given: list[str]) -> None:
    with pytest.raises(CommandFailed) as failed:
        documents.load_all(given, "x")
    assert failed.value.exit_code is Exit.USAGE


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A pipe may never end, a device never does."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for name, what in ((str(pipe), "a pipe"), ("/dev/zero", "a device")):
        with pytest.raises(CommandFailed, match=f"{name} is {what} and no regular file") as failed:
            list(documents.sources([name]))
        assert failed.value.exit_code is Exit.USAGE
        assert "-" in failed.value.hint


def test_nothing_to_read_is_usage(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="holds no"):
        list(documents.paths([str(tmp_path)]))
    empty = tmp_path / "e.yaml"
    empty.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(CommandFailed, match="no document"):
        documents.load_all([str(empty)], "x")


def test_every_problem_of_every_file_is_told_with_its_place(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("kind: Flag\nmetadata: {key: cart}\nspec: {colour: red}\n", encoding="utf-8")
    with pytest.raises(CommandFailed) as failed:
        documents.load_all([str(tmp_path)], "x")
    assert [detail.split(": ")[0] for detail in failed.value.details] == [
        f"{tmp_path}/a.yaml:3:8",
        f"{tmp_path}/b.yaml:3:8",
    ]


def test_one_key_in_two_files_is_told_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        (tmp_path / name).write_text(FLAG, encoding="utf-8")
    found = documents.read([str(tmp_path)], None)
    assert [problem.code for problem in found.problems] == ["duplicate_resource"] * 2
    assert len(found.documents) == 3


def test_a_problem_of_the_server_is_placed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flags.yaml"
    path.write_text("# shop\n" + FLAG, encoding="utf-8")
    read = documents.load_all([str(path)], "x")
    problem = Problem("flag/cart", "spec.default", "unknown_variant", "there is no variant", "", read[0].origin)
    placed = documents.placed(ServerRefused("1 problem", problems=[problem], code="invalid_input"), read)
    assert placed.details == (f"{path}:4:8: flag/cart: spec.default: there is no variant",)
    assert placed.what == "1 problem; nothing was changed"


def test_other_refusals_stay_as_they_are() -> None:
    refused = ServerRefused("no", code="refused")
    assert documents.placed(refused, ()) is refused
