"""A context for `explain`, as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.cli.contexts import looks_numeric, typed
from rollout_server.cli.failures import CommandFailed


def test_words_in_any_order() -> None:
    assert typed(["country=TH", "user-42", "age:=42", "beta:=true", "q=a=b", "empty="], ["tenant=t-9"], None) == {
        "units": {"user": "user-42", "tenant": "t-9"},
        "attributes": {"country": "TH", "age": 42, "beta": True, "q": "a=b", "empty": ""},
    }


def test_json_whole_or_from_a_file_and_words_on_top(tmp_path: Path) -> None:
    path = tmp_path / "context.json"
    path.write_text('{"units": {"user": "a"}, "attributes": {"plan": "pro"}}', encoding="utf-8")
    assert typed(["b"], [], f"@{path}") == {"units": {"user": "b"}, "attributes": {"plan": "pro"}}
    assert typed(["x=1"], [], '{"units": {"device": "d"}}') == {"units": {"device": "d"}, "attributes": {"x": "1"}}


@pytest.mark.parametrize(
    ("words", "units", "whole", "message"),
    [
        (["a", "b"], [], None, "one unit key is expected"),
        (["=x"], [], None, "names no attribute"),
        ([":=1"], [], None, "names no attribute"),
        (["a:=x"], [], None, "is no JSON"),
        ([], ["tenant"], None, "is no unit"),
        ([], ["=t"], None, "is no unit"),
        ([], [], "{", "is no JSON"),
        ([], [], "[]", "units and attributes"),
        ([], [], '{"user": "a"}', "units and attributes"),
        ([], [], '{"units": []}', "are maps"),
        ([], [], "@/nonexistent", "cannot be read"),
    ],
)
def test_what_is_no_context(words: list[str], units: list[str], whole: str | None, message: str) -> None:
    with pytest.raises(CommandFailed, match=message):
        typed(words, units, whole)


def test_text_that_could_have_been_meant_otherwise() -> None:
    assert looks_numeric(typed(["age=42", "plan=pro", "beta=true", "n:=1"], [], None)) == [
        ("age", "42"),
        ("beta", "true"),
    ]
