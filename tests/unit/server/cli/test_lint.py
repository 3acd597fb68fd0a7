"""`rollout lint`: what the server would refuse, found without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine, Outcome


@pytest.fixture
def lint(tmp_path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a function of this test
    path = tmp_path / "flags.yaml"

    def run(text: str, *words: str) -> Outcome:
        path.write_text(text, encoding="utf-8")
        return CommandLine()("lint", str(path), *words)

    return run


def test_in_order(lint) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    outcome = lint("kind: Flag\nmetadata: {key: cart}\n")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "✔ 1 document in order\n"


def test_every_problem_with_line_and_column(lint, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    outcome = lint("kind: Flag\nmetadata: {key: cart}\nspec: {colour: red, default: purple}\n---\nkind: Flg\n")
    assert outcome.code == 1
    places = [line.split(": ")[0].removeprefix(f"{tmp_path}/") for line in outcome.out.splitlines()]
    assert places[0].startswith("flags.yaml:3:")
    assert any(place.startswith("flags.yaml:5:") for place in places)
    assert "problems in 2 documents" in outcome.err


def test_what_the_server_may_know_is_a_warning_unless_the_files_are_all(lint) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    text = 'kind: Flag\nmetadata: {key: cart}\nspec:\n  rules:\n    - {id: a, when: {cohort: beta}, serve: "on"}\n'
    outcome = lint(text)
    assert outcome.code == 0
    assert "warning flag/cart" in outcome.out
    assert outcome.err == "✔ 1 document in order, 1 warning\n"
    whole = lint(text, "--whole")
    assert whole.code == 1
    assert "flags.yaml:5:" in whole.out
    assert "error flag/cart" in whole.out


def test_the_overlay_of_one_environment(lint) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    text = "kind: Flag\nmetadata: {key: cart}\nenvironments: {staging: {spec: {default: purple}}}\n"
    assert lint(text).code == 0
    assert lint(text, "-e", "staging").code == 1


def test_json(lint) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    data = lint("kind: Flag\nmetadata: {key: cart}\nspec: {colour: red}\n", "-o", "json").data
    assert data["documents"] == 1
    assert data["problems"][0].keys() == {"place", "resource", "path", "code", "message", "hint"}
    assert data["problems"][0]["code"] == "unknown_field"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: [*a, *a]\n",
        "kind: Flag\nkind: Flag\n",
        "[" * 5_000,
        "kind: Flag\nmetadata: {key: on}\nspec: {default: on}\n",
        "\x00",
        "kind: Flag\nmetadata: {key: 00123}\n",
    ],
)
def test_hostile_files_are_named_and_never_a_traceback(lint, text: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    outcome = lint(text)
    assert outcome.code == 1
    assert "flags.yaml:" in outcome.out
    assert "bug" not in outcome.err
