"""Names."""

from __future__ import annotations

import re

import pytest

from rollout_server.domain.files import names


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("p\u0430yments", "character 2 is U+0430 CYRILLIC SMALL LETTER A, which looks like a"),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\nb", "U+000A"),
        ("..x", "does not begin"),
        ("A", "U+0041 LATIN CAPITAL LETTER A"),
        ("x" * 129, "129 characters"),
        ("", "empty"),
        ("../x", "U+002F SOLIDUS"),
    ],
)
def test_a_bad_key_is_told_by_its_code_point(key: str, why: str) -> None:
    """Who reads the message sees what the screen hid."""
    assert why in names.why_no_key(key)
    assert not re.match(names.KEY_PATTERN, key.replace("\n", "\\"))


def test_good_names_pass() -> None:
    """What the patterns for editors let through, the reader lets through."""
    for key in ("a", "9", "checkout-v2", "a.b_c-d", "x" * 128):
        assert names.why_no_key(key) == ""
        assert re.match(names.KEY_PATTERN, key)
    assert names.why_no_unit_kind("tenant") == ""
    assert names.why_no_unit_kind("x" * 33) != ""
    assert not re.match(names.UNIT_KIND_PATTERN, "x" * 33)


def test_shown_text_hides_nothing_and_stays_on_one_line() -> None:
    """Control, invisible and turning characters appear as code points, long text is cut."""
    assert names.show('a"\u202e\n') == '"a\\"<U+202E><U+000A>"'
    assert len(names.show("x" * 1_000)) < 80


def test_half_of_a_pair_is_no_unicode() -> None:
    """Lone surrogates cannot be written as UTF-8."""
    assert names.is_unicode("\U0001f600")
    assert not names.is_unicode("\ud83d")
