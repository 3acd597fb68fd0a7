"""Values as people read them, bounded, whatever they are: an explanation is as total as the decision it explains."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM
from rollout_sdk.engine.values import as_list, as_map, as_number, as_text, class_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_CHARS = 80
_MEMBERS_MAX = 8
_DEPTH_MAX = 3
_DIGITS_BITS = 256


def shown(value: object) -> str:
    """Return a value for one line, at most `SHOWN_CHARS` long: JSON where it has a class, else the name of its type.

    Escapes everything beyond printable ASCII in text that holds controls, so that a value cannot fake a line.
    """
    text = _shown(value, 0)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


def percent(share_ppm: int) -> str:
    """Return a share as people write it, exact to the part per million: "12.5%"."""
    whole, rest = divmod(abs(share_ppm), PPM // 100)
    fraction = f".{rest:04}".rstrip("0") if rest else ""
    return f"{'-' if share_ppm < 0 else ''}{whole}{fraction}%"


def _shown(value: object, depth: int) -> str:
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    text = as_text(value)
    if text is not None:
        cut = text[: SHOWN_CHARS + 1]
        return json.dumps(cut, ensure_ascii=not cut.isprintable())
    number = as_number(value)
    if type(number) is int and number.bit_length() > _DIGITS_BITS:
        return f"a whole number of {number.bit_length()} bits"
    if number is not None:
        return repr(number)
    members = as_list(value)
    if members is not None:
        return f"[{', '.join(_cut((_shown(member, depth + 1) for member in members), depth))}]"
    entries = as_map(value)
    if entries is not None:
        pairs = (f"{_shown(name, depth + 1)}: {_shown(inner, depth + 1)}" for name, inner in dict.items(entries))
        return "{" + ", ".join(_cut(pairs, depth)) + "}"
    return f"a value of no class ({type_name(value)})"


def _cut(parts: Iterator[str], depth: int) -> Iterator[str]:
    """Yield the first few, and dots for the rest; nothing but dots where it is too deep to read."""
    if depth >= _DEPTH_MAX:
        yield "..."
        return
    for count, part in enumerate(parts):
        if count == _MEMBERS_MAX:
            yield "..."
            return
        yield part


def described(value: object) -> str:
    """Return a value with its class, for a leaf that found it to be of the wrong type."""
    found = class_of(value)
    return f"{shown(value)}, a {found}" if found is not None else shown(value)


def type_name(value: object) -> str:
    """Return the name of a value's type, as `type` itself stores it."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name[:SHOWN_CHARS]
