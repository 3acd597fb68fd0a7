"""Files of flags in tests."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from rollout_sdk.testing import documents
from rollout_sdk.testing.documents import Documents
from rollout_sdk.wire.snapshot import unpack


def snapshot_of(paths: Sequence[Path], environment: str = "") -> bytes:
    return Documents().apply(paths, environment)


GOOD = 'kind: Flag\nmetadata: {key: a}\nspec: {default: "on"}\nenvironments: {staging: {spec: {default: "off"}}}\n'


def test_a_directory_is_all_that_is_in_it(tmp_path: Path) -> None:
    """Deep down too, but nothing hidden, and nothing of another kind."""
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "deep" / "a.yml").write_text("kind: Flag\nmetadata: {key: a}\n", encoding="utf-8")
    (tmp_path / "b.json").write_text('{"kind": "Flag", "metadata": {"key": "b"}}', encoding="utf-8")
    (tmp_path / ".hidden" / "c.yaml").write_text("not: this", encoding="utf-8")
    (tmp_path / "README.md").write_text("nor this", encoding="utf-8")
    assert {record.key for record in unpack(snapshot_of([tmp_path])).records} == {"a", "b"}


def test_an_environment_merges_its_overlay(tmp_path: Path) -> None:
    """As `apply -e` does."""
    path = tmp_path / "a.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert snapshot_of([path]) != snapshot_of([path], "staging")


def test_everything_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    """One look suffices."""
    path = tmp_path / "a.yaml"
    path.write_text("kind: Flag\nmetadata: {key: a}\nspec: {defauld: x, rulez: 1}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.yaml:3:.*defauld(.|\n)*a\.yaml:3:.*rulez"):
        snapshot_of([path])


def test_no_file_is_no_flags_by_mistake(tmp_path: Path) -> None:
    """An empty directory is a typing error."""
    with pytest.raises(ValueError, match="no file was named"):
        snapshot_of([tmp_path])
    with pytest.raises(FileNotFoundError):
        snapshot_of([tmp_path / "gone.yaml"])


def test_without_the_reader_the_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the distribution's half is missing or only the parser that it needs."""
    path = tmp_path / "a.yaml"
    path.write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(documents, "GROUP", "rollout_sdk.testing.nobody")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rollout-guard\[testing\]'"):
        snapshot_of([path])


def test_without_a_yaml_parser_the_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not what the SDK needs in production."""
    path = tmp_path / "a.yaml"
    path.write_text(GOOD, encoding="utf-8")

    class Missing:
        def load(self) -> object:
            raise ModuleNotFoundError("No module named 'ruamel'", name="ruamel")

    monkeypatch.setattr(documents, "entry_points", lambda **_: [Missing()])
    with pytest.raises(ModuleNotFoundError, match="files need ruamel; type: pip install"):
        snapshot_of([path])


def test_what_is_applied_later_goes_over_what_was(tmp_path: Path) -> None:
    """It may refer to what was applied before, and replace it; a failure leaves all as it was."""
    first, second, bad = (tmp_path / name for name in ("1.yaml", "2.yaml", "3.yaml"))
    first.write_text("kind: Flag\nmetadata: {key: a}\n", encoding="utf-8")
    second.write_text(
        'kind: Flag\nmetadata: {key: b}\nspec: {requires: [{flag: a, variants: ["on"]}]}\n', encoding="utf-8"
    )
    bad.write_text("kind: Nothing\n", encoding="utf-8")
    documents_ = Documents()
    documents_.apply([first])
    with pytest.raises(ValueError, match="Nothing"):
        documents_.apply([bad])
    assert {record.key for record in unpack(documents_.apply([second])).records} == {"a", "b"}
    with pytest.raises(ValueError, match="no flag"):
        snapshot_of([second])
