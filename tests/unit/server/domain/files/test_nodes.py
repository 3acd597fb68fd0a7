"""YAML text to nodes."""

from __future__ import annotations

import pytest

from rollout_server.domain.files import nodes
from rollout_server.domain.files.scalars import SpelledFloat, Unquoted
from rollout_server.domain.files.text import BadText


def tree(text: str) -> object:
    node = nodes.parse(text)
    assert node is not None
    return nodes.tree(node, [], text)


def test_trees_are_what_yaml_1_2_says() -> None:
    """Flow and block, quoted and plain, literal and folded."""
    text = "a: [1, 'x', \"\\u00e9\", {b: ~}]\nc: |\n  two\n  lines\nd: >-\n  one\n  line\ne: 25%\n? f\n: g\n"
    assert tree(text) == {
        "a": [1, "x", "é", {"b": None}],
        "c": "two\nlines\n",
        "d": "one line",
        "e": "25%",
        "f": "g",
    }


def test_how_it_was_written_is_kept_where_it_matters() -> None:
    """Quotes decide between a number and a text, and so they are seen."""
    found = tree("{on: 1.10, 'off': '1.10', 1: x}")
    assert isinstance(found, dict)
    assert [type(name) for name in found] == [Unquoted, str, Unquoted]
    assert [type(value) for value in found.values()] == [SpelledFloat, str, str]


def test_pairs_of_escapes_are_one_character() -> None:
    """JSON writes characters beyond 65 536 so, and JSON is YAML."""
    assert tree('a: "\\ud83d\\ude00"') == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("text", "code", "index", "said"),
    [
        ("a: [", "bad_yaml", 4, "the end of the document"),
        ("a:\n\tb: 1", "bad_yaml", 3, "indent with spaces"),
        ("a: @b", "bad_yaml", 3, "needs quotes"),
        ("a: >=1.2", "bad_yaml", 4, "needs quotes"),
        ("a: b: c", "bad_yaml", 4, "quote text that holds a colon"),
        ('a: "x', "bad_yaml", 3, "a quote is not closed"),
        ('a: "\\U00110000"', "bad_yaml", 0, "escape"),
        ("a: *b", "alias", 3, "the alias *b is not read"),
        ("a: &b 1", "alias", 3, "the anchor &b is not read"),
        ("a: !!str 1", "tag", 3, "is not read"),
        ("a: !x {b: 1}", "tag", 3, "is not read"),
        ("b: 1\n<<: {a: 1}", "merge", 5, "write the fields out"),
        ("{[a]: 1}", "bad_field", 1, "cannot name a field"),
        ("? {a: b}\n: c", "bad_field", 2, "cannot name a field"),
        (": x", "bad_field", 0, "a field has no name"),
        ("a: .inf", "bad_number", 3, "not a finite number"),
        ("%YAML 1.1\n---\na: b", "bad_yaml", 0, "YAML 1.2 is read here"),
        ('a: "\\ud800"', "not_unicode", 3, "surrogate"),
        ("{a: " * 200, "too_deep", 400, "inside each other"),
        ("- " * 100_000, "too_deep", 200, "inside each other"),
    ],
)
def test_what_is_not_read_is_refused_at_its_place(text: str, code: str, index: int, said: str) -> None:
    """Syntax errors and the parts of YAML that hide things: where, why, and what to write instead."""
    with pytest.raises(BadText) as refused:
        nodes.parse(text)
    assert (refused.value.code, refused.value.index) == (code, index)
    assert said in f"{refused.value} ({refused.value.hint})"


def test_a_bomb_of_aliases_never_goes_off() -> None:
    """The first anchor is refused: nothing is expanded."""
    with pytest.raises(BadText, match="anchor &a"):
        nodes.parse("a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(1_000)))


def test_names_given_twice_are_told_with_both_places() -> None:
    """The first stands, so that reading can go on."""
    text = "a: 1\nb: {c: 1, c: 2}\na: 3\n"
    node = nodes.parse(text)
    wrong: list[BadText] = []
    assert node is not None
    assert nodes.tree(node, wrong, text, line=10) == {"a": 1, "b": {"c": 1}}
    assert [str(one) for one in wrong] == [
        '"c" stands here for the second time, the first is at 11:5',
        '"a" stands here for the second time, the first is at 10:1',
    ]


def test_a_text_of_comments_is_no_document() -> None:
    """Nothing to read is nothing wrong."""
    assert nodes.parse("# only this\n") is None
