"""Characters that a reviewer does not see, or that a terminal obeys, as escapes in JSON and in YAML."""

from __future__ import annotations

import re
import unicodedata

_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUSPECTS = re.compile(r"[^\n -~]")  # most text has none; a line end stands between what is written, never inside it
_BASIC_PLANE_END = 0x10000


def is_unseen(character: str) -> bool:
    """Whether it is a control, format, private, unassigned or line separating character, or half of a pair."""
    return not character.isprintable() and unicodedata.category(character) in _CATEGORIES


def escaped_in_json(text: str) -> str:
    """Return JSON of the same meaning without anything unseen in it; line ends between its tokens stay."""
    return _SUSPECTS.sub(lambda found: _in_json(found[0]), text)


def escaped_in_yaml(text: str) -> str:
    """Return YAML of the same meaning without anything unseen in it.

    Args:
        text: its unseen characters, line ends aside, all stand inside double quotes.
    """
    return _SUSPECTS.sub(lambda found: _in_yaml(found[0]), text)


def _in_json(character: str) -> str:
    if not is_unseen(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _in_yaml(character: str) -> str:
    if not is_unseen(character):
        return character
    # JSON's pairs of surrogates are two characters in YAML; its own escape is one of eight digits.
    code = ord(character)
    return f"\\u{code:04X}" if code < _BASIC_PLANE_END else f"\\U{code:08X}"
