"""Names in files: the engine's rules, their patterns for editors, and which letters of other scripts look like ours."""

from __future__ import annotations

from rollout_sdk.engine.limits import KEY_CHARS, UNIT_KIND_CHARS, VARIANT_KEY_CHARS
from rollout_sdk.engine.names import key_fault, unit_kind_fault

KEY_PATTERN = rf"^[a-z0-9][a-z0-9._-]{{0,{KEY_CHARS - 1}}}$"
UNIT_KIND_PATTERN = rf"^[a-z0-9][a-z0-9._-]{{0,{UNIT_KIND_CHARS - 1}}}$"

KEY_HINT = f"a key is 1 to {KEY_CHARS} of a-z, 0-9, '.', '_', '-' and begins with a letter or digit"
UNIT_KIND_HINT = f"a kind of unit is 1 to {UNIT_KIND_CHARS} of a-z, 0-9, '.', '_', '-', the first a letter or digit"
VARIANT_HINT = f"a variant's key is 1 to {VARIANT_KEY_CHARS} visible characters in Unicode's composed form (NFC)"

_SHOWN_CHARACTERS_MAX = 60

# Letters of other scripts that look like one of a-z in common fonts: Cyrillic, Greek, Latin extensions.
_CODES = {
    "a": (0x430, 0x3B1, 0x251),
    "c": (0x441,),
    "d": (0x501,),
    "e": (0x435,),
    "g": (0x261,),
    "h": (0x4BB,),
    "i": (0x456, 0x3B9, 0x131),
    "j": (0x458,),
    "l": (0x4CF,),
    "o": (0x43E, 0x3BF),
    "p": (0x440, 0x3C1),
    "q": (0x51B,),
    "s": (0x455,),
    "v": (0x3BD,),
    "w": (0x51D,),
    "x": (0x445,),
    "y": (0x443,),
}
_ALIKE = {chr(code): letter for letter, codes in _CODES.items() for code in codes}


def why_no_key(text: str) -> str:
    """Return why this cannot name a flag, a cohort or a rule, or ""; a look-alike is unmasked."""
    return _unmasked(text, key_fault(text))


def why_no_unit_kind(text: str) -> str:
    """Return why this cannot name a kind of unit, or ""."""
    return _unmasked(text, unit_kind_fault(text))


def _unmasked(text: str, fault: str) -> str:
    named = (character for character in text if f"U+{ord(character):04X} " in fault)
    alike = _ALIKE.get(next(named, ""))
    return f"{fault}, which looks like {alike}" if alike else fault


def is_unicode(text: str) -> bool:
    """Whether this can be written as UTF-8: no half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def show(text: str) -> str:
    """Return the text in quotes, cut to one line, with every invisible character as its code point."""
    cut = text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "..."
    return '"' + "".join(map(_visible, cut)) + '"'


def _visible(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"<U+{ord(character):04X}>"
