"""Keys that cannot be mistaken for one another, and names shown so that nothing in them hides."""

from __future__ import annotations

import re
import unicodedata

KEY_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,127}$"
UNIT_KIND_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,31}$"
VARIANT_CHARACTERS_MAX = 128

KEY_HINT = "a key is 1 to 128 of a-z, 0-9, '.', '_', '-' and begins with a letter or digit"
UNIT_KIND_HINT = "a kind of unit is 1 to 32 of a-z, 0-9, '.', '_', '-' and begins with a letter or digit"
VARIANT_HINT = "a variant's key is 1 to 128 visible characters in Unicode's composed form (NFC)"

_KEY = re.compile(KEY_PATTERN.removesuffix("$") + r"\Z")
_UNIT_KIND = re.compile(UNIT_KIND_PATTERN.removesuffix("$") + r"\Z")
_SHOWN_CHARACTERS_MAX = 60

# Letters of other scripts that look like one of a-z in common fonts.
_LOOKS_LIKE = dict(
    zip(
        "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u051d\u0445\u0443\u03b1\u03b9\u03bd\u03bf\u03c1\u0131\u0251\u0261",
        "acdehijlopqswxyaivopiag",
        strict=True,
    )
)


def is_key(text: str) -> bool:
    """Whether this may name a flag, a cohort or a rule."""
    return _KEY.match(text) is not None


def is_unit_kind(text: str) -> bool:
    """Whether this may name a kind of unit."""
    return _UNIT_KIND.match(text) is not None


def is_variant(text: str) -> bool:
    """Whether this may name a variant: visible, composed, no white space at its ends."""
    return (
        0 < len(text) <= VARIANT_CHARACTERS_MAX
        and (text.isascii() or unicodedata.is_normalized("NFC", text))
        and text.isprintable()
        and text == text.strip()
    )


def is_unicode(text: str) -> bool:
    """Whether this can be written as UTF-8: no half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def show(text: str) -> str:
    """Return the text in quotes, cut to one line, with every invisible character as its code point."""
    cut = text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "..."
    body = "".join(
        f"\\{character}"
        if character in '"\\'
        else character
        if character.isprintable()
        else f"<U+{ord(character):04X}>"
        for character in cut
    )
    return f'"{body}"'


def strange(text: str) -> str:
    """Name the first character that a key may not hold: "U+0430 CYRILLIC SMALL LETTER A, which looks like a"; or ""."""
    for place, character in enumerate(text, start=1):
        if character in "abcdefghijklmnopqrstuvwxyz0123456789._-":
            continue
        name = f"U+{ord(character):04X} {unicodedata.name(character, 'a character without a name')}"
        alike = _LOOKS_LIKE.get(character)
        return f"character {place} is {name}" + (f", which looks like {alike}" if alike else "")
    return ""
