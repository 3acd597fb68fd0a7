"""Names that cannot be mistaken for one another."""

import pytest

from rollout_sdk.engine.names import key_fault, named, salt_fault, unit_key_fault, unit_kind_fault, variant_fault


@pytest.mark.parametrize("key", ["a", "0", "checkout-v2", "a.b_c-d", "x" * 128])
def test_good_keys(key: str) -> None:
    """Lower-case ASCII letters, digits, dot, underscore, hyphen; up to 128."""
    assert key_fault(key) == ""


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "empty"),
        ("x" * 129, "129 characters"),
        ("-a", "does not begin"),
        ("A", "U+0041 LATIN CAPITAL LETTER A"),
        ("che\u0441kout", "character 4 is U+0441 CYRILLIC SMALL LETTER ES"),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\nb", "U+000A"),
        ("a b", "U+0020 SPACE"),
        ("../a", "character 3 is U+002F SOLIDUS"),
        ("..", "does not begin"),
        ("a/b", "U+002F SOLIDUS"),
    ],
)
def test_bad_keys_are_told_by_code_point(key: str, told: str) -> None:
    """What looks alike, turns text round or cannot be seen is named, so that a person can find it."""
    assert told in key_fault(key)


def test_kinds_of_unit_are_shorter() -> None:
    """A kind of unit has at most 32 characters."""
    assert unit_kind_fault("u" * 32) == ""
    assert "33 characters" in unit_kind_fault("u" * 33)


@pytest.mark.parametrize("key", ["on", "50% off", "青", "v" * 128])
def test_good_variants(key: str) -> None:
    """Variants may be any visible text."""
    assert variant_fault(key) == ""


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "empty"),
        ("v" * 129, "129 characters"),
        (" on", "space"),
        ("o\u200dn", "U+200D ZERO WIDTH JOINER"),
        ("o\u2066n", "U+2066"),
        ("e\u0301", "NFC"),
        ("\ud800", "U+D800"),
    ],
)
def test_bad_variants(key: str, told: str) -> None:
    """Nothing invisible, nothing padded, one form of each text."""
    assert told in variant_fault(key)


def test_unit_keys() -> None:
    """A listed unit is what a context can have: text that is Unicode, not empty, not endless."""
    assert unit_key_fault("user 1") == ""
    assert "empty" in unit_key_fault("")
    assert "surrogate" in unit_key_fault("a\ud800")
    assert "1025 bytes" in unit_key_fault("x" * 1_025)


def test_salts() -> None:
    """A salt is 16 characters of a-z, 0-9 and hyphen."""
    assert salt_fault("abcdefgh-1234567") == ""
    assert "15 characters" in salt_fault("a" * 15)
    assert "U+0041" in salt_fault("A" * 16)


def test_characters_without_a_name_are_named_by_number() -> None:
    """Controls have no name in Unicode."""
    assert named("\x00") == "U+0000 a character without a name"
