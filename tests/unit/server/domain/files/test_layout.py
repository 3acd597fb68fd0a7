"""Canonical layout."""

from __future__ import annotations

import pytest

from rollout_server.domain.files import comments, nodes
from rollout_server.domain.files.layout import LINE_WIDTH, double_quoted, lay_out, quote


def laid_out(text: str) -> str:
    root = nodes.parse(text)
    assert root is not None
    return lay_out(root, text, comments.find(text, root), frozenset())


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a:   1\nb:\n- x\n-   y: 1\n    z: 2", "a: 1\nb:\n  - x\n  - y: 1\n    z: 2\n"),
        ("{a: 1,b: [x,y]}", "{a: 1, b: [x, y]}\n"),
        ("a: {}\nb: []\nc:", "a: {}\nb: []\nc: null\n"),
        ("a: 'it''s'\nb: '\\d'\nc: 'x'", 'a: "it\'s"\nb: \'\\d\'\nc: "x"\n'),
        ("a: one\n  two", "a: one two\n"),
        ("a: |\n    x\n      y\n\n    z\nb: >-\n  c\n  d", "a: |\n  x\n    y\n\n  z\nb: |-\n  c d\n"),
        ("- - a\n  - b\n- c", "- - a\n  - b\n- c\n"),
        ("a: [x, {b: c}]\n\n\n\nd: e", "a: [x, {b: c}]\n\nd: e\n"),
        ("a: # why\n  b: 1 # and\n  # below\nc: 2", "a:  # why\n  b: 1  # and\n  # below\nc: 2\n"),
        ("a: [x, # why\n y]", "a:\n  - x  # why\n  - y\n"),
        ("a: {b: 1, c: 2 # why\n }", "a:\n  b: 1\n  c: 2  # why\n"),
        ("a: [ # why\n x]", "a:\n  # why\n  - x\n"),
        ("- # first\n  a: 1", "# first\n- a: 1\n"),
        ("a:\n- x\n# after\nb: 1", "a:\n  - x\n  # after\nb: 1\n"),
        ("a: b # end\n# last\n", "a: b  # end\n# last\n"),
        ("a: [ # why\n ]\nb: 1", "a: []  # why\nb: 1\n"),
        ("a: {\n # why\n }\nb: 1", "a: {}\n# why\nb: 1\n"),
        ("a: [{ # x\n }, { # y\n # z\n }]", "a:\n  - {}  # x\n  - {}  # y\n  # z\n"),
        ("{? a : b}", "{a: b}\n"),
        ("[a: b]", "[{a: b}]\n"),
        (" ---", '"---"\n'),
    ],
)
def test_each_construct_has_one_layout(text: str, canonical: str) -> None:
    """Two spaces a level, lists inside their field, brackets kept; and the layout is its own layout."""
    assert laid_out(text) == canonical
    assert laid_out(canonical) == canonical


def test_brackets_that_do_not_fit_are_opened() -> None:
    """Outermost first: what is inside stays on a line if it fits there."""
    inner = "[" + ", ".join(["xxxxxxxxxx"] * 8) + "]"
    assert laid_out(f"{{a: {inner}, b: {inner}}}") == f"a: {inner}\nb: {inner}\n"
    assert all(len(line) <= LINE_WIDTH for line in laid_out(f"{{a: {inner}, b: {inner}}}").splitlines())


def test_quotes_are_the_readable_ones() -> None:
    """Double, unless single ones save every escape; hidden characters are always escaped."""
    assert quote("a") == '"a"'
    assert quote('say "x"') == "'say \"x\"'"
    assert quote('it\'s "x"') == '"it\'s \\"x\\""'
    assert quote("\u202e\u200b\x7f\n") == '"\\u202E\\u200B\\u007F\\n"'
    assert quote("\U000e0001") == '"\\U000E0001"'
    assert double_quoted("\U000e0001\n") == '"\\uDB40\\uDC01\\n"'
