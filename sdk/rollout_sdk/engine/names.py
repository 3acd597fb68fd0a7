"""Names that cannot be mistaken for one another. What a name may not hold is told by its code point."""

from __future__ import annotations

import re
import unicodedata

from rollout_sdk.engine.limits import (
    KEY_CHARS,
    KEY_PATTERN,
    SALT_CHARS,
    UNIT_KEY_BYTES,
    UNIT_KIND_CHARS,
    VARIANT_KEY_CHARS,
)

_KEY = re.compile(KEY_PATTERN)
_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_SALT_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def key_fault(key: str, chars_max: int = KEY_CHARS) -> str:
    """Return why this cannot name a flag, a cohort or a rule; empty when it can."""
    if not key:
        return "it is empty"
    if len(key) > chars_max:
        return f"it has {len(key)} characters, at most {chars_max} are allowed"
    strange = next(((at, char) for at, char in enumerate(key, start=1) if char not in _KEY_CHARACTERS), None)
    if strange is not None:
        return f"character {strange[0]} is {named(strange[1])}"
    return "" if _KEY.fullmatch(key) else "it does not begin with a letter or a digit"


def unit_kind_fault(kind: str) -> str:
    """Return why this cannot name a kind of unit; empty when it can."""
    return key_fault(kind, UNIT_KIND_CHARS)


def variant_fault(key: str) -> str:
    """Return why this cannot name a variant; empty when it can: visible characters, composed, not padded."""
    if not key:
        return "it is empty"
    if len(key) > VARIANT_KEY_CHARS:
        return f"it has {len(key)} characters, at most {VARIANT_KEY_CHARS} are allowed"
    strange = next(((at, char) for at, char in enumerate(key, start=1) if not char.isprintable()), None)
    if strange is not None:
        return f"character {strange[0]} is {named(strange[1])}"
    if key != key.strip():
        return "it begins or ends with a space"
    return (
        "" if key.isascii() or unicodedata.is_normalized("NFC", key) else "it is not in Unicode's composed form (NFC)"
    )


def unit_key_fault(key: str) -> str:
    """Return why no context can have a unit with this key; empty when one can."""
    if not key:
        return "it is empty"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return f"it has {size} bytes, at most {UNIT_KEY_BYTES} are allowed" if size > UNIT_KEY_BYTES else ""


def salt_fault(salt: str) -> str:
    """Return why this is no salt; empty when it is."""
    if len(salt) != SALT_CHARS:
        return f"it has {len(salt)} characters instead of {SALT_CHARS}"
    strange = next((char for char in salt if char not in _SALT_CHARACTERS), None)
    return f"it holds {named(strange)}" if strange is not None else ""


def named(char: str) -> str:
    """Name one character: "U+0430 CYRILLIC SMALL LETTER A"."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'a character without a name')}"
