"""JSON text."""

from __future__ import annotations

import json

import pytest

from rollout_server.domain.files import json_text
from rollout_server.domain.files.text import BadText

TEXT = '{ "a" : [1, {"b": "x,]"}, []] , "c\\n": {"d": null}}'


@pytest.mark.parametrize(
    ("steps", "begins"),
    [
        ((), "{ "),
        (("a",), '"a" :'),
        (("a", 1), '{"b"'),
        (("a", 1, "b"), '"b": "x'),
        (("a", 2), "[]]"),
        (("c\n", "d"), '"d": null'),
        (("a", 9), '"a" :'),
        (("a", 0, "z"), "1,"),
        (("zzz", "d"), "{ "),
    ],
)
def test_every_place_is_found(steps: tuple[str | int, ...], begins: str) -> None:
    """A place is where the entry's name, or the item, begins; what does not exist is where it belongs."""
    assert TEXT[json_text.place(TEXT, steps) :].startswith(begins)


def test_items_of_a_list_are_cut_exactly() -> None:
    """Each item's own text, white space left out."""
    text = ' [ {"a": "]"} ,\n 2,[3] ] '
    assert [text[start:end] for start, end in json_text.items(text)] == ['{"a": "]"}', "2", "[3]"]
    assert list(json_text.items("[]")) == []


@pytest.mark.parametrize(
    ("text", "code", "index"),
    [
        ('{"a": 1,}', "bad_json", 8),
        ("[1] x", "bad_json", 4),
        ("", "bad_json", 0),
        ('{"a": {"x": 1, "y": ":", "x": 2}}', "duplicate_field", 25),
        ('{"a": 1, "\\u0061": 2}', "duplicate_field", 9),
        ("[" * 100_000, "too_deep", 0),
        ('{"a":' * 200 + "1" + "}" * 200, "too_deep", 0),
        ('["\\\\", "\\ud83d"]', "not_unicode", 7),
        ("[NaN]", "bad_number", 0),
        ("[1e400]", "bad_number", 0),
        ("[1, " + "9" * 5_000 + "]", "bad_number", 4),
    ],
)
def test_what_is_no_good_json_is_refused_at_its_place(text: str, code: str, index: int) -> None:
    """Syntax, names given twice, depth, endless numbers and halves of characters: refused, never a crash."""
    with pytest.raises(BadText) as refused:
        json_text.parse(text)
    assert (refused.value.code, refused.value.index) == (code, index)


def test_good_json_is_what_python_reads() -> None:
    """Escaped pairs are whole characters, and numbers keep an odd spelling."""
    assert json_text.parse('{"a": ["\\ud83d\\ude00", "\\\\ud83d", 1, 1.5]}') == {"a": ["\U0001f600", "\\ud83d", 1, 1.5]}
    assert json_text.parse(TEXT) == json.loads(TEXT)
