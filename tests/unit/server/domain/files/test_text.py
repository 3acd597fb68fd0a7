"""Bytes to text."""

from __future__ import annotations

import pytest

from rollout_server.domain.files import bounds
from rollout_server.domain.files.text import BadText, decode, line_and_column, refuse_hidden


def test_marks_and_line_ends_are_evened_out() -> None:
    """A byte order mark and the line ends of other systems change nothing."""
    assert decode("\ufeffa\r\nb\rc\n".encode()) == "a\nb\nc\n"
    assert decode("\ufeffa\r\nb") == "a\nb"


def test_what_is_not_utf8_is_told_by_its_place() -> None:
    """The first wrong byte, counted in the characters before it."""
    with pytest.raises(BadText, match="0xFF is not UTF-8") as refused:
        decode("ü\r\nx".encode() + b"\xff")
    assert refused.value.index == len("ü\nx")


def test_too_much_is_refused_before_it_is_read() -> None:
    """A file over the limit costs nothing but its own bytes."""
    with pytest.raises(BadText, match="at most"):
        decode(bytes(bounds.TEXT_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u2028", "\ufeff", "\ud800"]
)
def test_hidden_characters_are_told(character: str) -> None:
    """What a reviewer would not see is refused by its code point, at its place."""
    with pytest.raises(BadText, match=f"U\\+{ord(character):04X}") as refused:
        refuse_hidden(f"a: b{character}")
    assert refused.value.index == 4
    assert refused.value.as_problem("f:1:5").origin == "f:1:5"


def test_visible_text_passes() -> None:
    """Tabs, line ends, any script and emoji are nobody's business here."""
    refuse_hidden("a\tb\n한국어 עברית ไทย \U0001f600\u200d\u00ad")


def test_places_count_from_one() -> None:
    """Line and column are those of an editor."""
    assert line_and_column("ab\ncd", 0) == (1, 1)
    assert line_and_column("ab\ncd", 4, line=10) == (11, 2)
