"""Unquoted words."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.scalars import (
    Scalar,
    SpelledFloat,
    SpelledInt,
    Unquoted,
    as_written,
    looks_like_something_else,
    resolve,
)


@pytest.mark.parametrize(
    "word", ["on", "OFF", "Yes", "no", "2027-06-01", "2027-6-1", "12:30", "1_000", "0b11", "=", "<<"]
)
def test_words_that_readers_disagree_on_are_marked(word: str) -> None:
    """What YAML 1.1 takes for a boolean, a number, a date or a merge is text that asks for quotes."""
    found = resolve(word)
    assert type(found) is Unquoted
    assert found == word
    assert looks_like_something_else(word)


@pytest.mark.parametrize(
    "word",
    ["web", "y", "n", "25%", "1.2.3", "^1.2", "u-1", "2027-06", "nope", "true-ish", "-", ".", "1 2", "127.0.0.1", "t"],
)
def test_other_words_are_text(word: str) -> None:
    """Nobody takes these for anything but text."""
    assert type(resolve(word)) is str


@pytest.mark.parametrize(
    ("word", "value"),
    [("~", None), ("", None), ("null", None), ("true", True), ("FALSE", False), ("12", 12), ("-3", -3), ("1.5", 1.5)],
)
def test_the_core_schema_decides(word: str, value: Scalar) -> None:
    """Null, booleans and plainly written numbers are what YAML 1.2 says."""
    found = resolve(word)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "value"),
    [("00123", 123), ("0x1F", 31), ("0o17", 15), ("+5", 5), ("-0", 0), ("1.10", 1.1), ("1e3", 1000.0), (".5", 0.5)],
)
def test_numbers_keep_an_odd_spelling(word: str, value: float) -> None:
    """A number that does not read back as written keeps what was written, for who wants text there."""
    found = resolve(word)
    assert found == value
    assert isinstance(found, SpelledInt | SpelledFloat)
    assert as_written(found) == word


@pytest.mark.parametrize("word", [".inf", "-.INF", ".nan", "1e400", "9" * 401, "0x" + "f" * 500])
def test_no_number_without_an_end(word: str) -> None:
    """Infinite, undefined and endless numbers are refused, at once."""
    with pytest.raises(ValueError, match=r"is (not|too|a number)"):
        resolve(word)


def test_scalars_are_shown_as_files_write_them() -> None:
    """Messages speak of null and true, not of None and True."""
    assert [as_written(value) for value in (None, True, False, 3, "on")] == ["null", "true", "false", "3", "on"]
