"""What evaluation sees of a caller's values: exact builtins and their subclasses, through the builtins' own methods.

A subclass (a `StrEnum`, numpy's float64) may have overridden anything; only what the builtin base stores is looked at,
so no code of the caller runs. Everything else is of no class that an operand could have.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, cast


class Missing:
    """The class of `MISSING`."""

    __slots__ = ()


MISSING: Final = Missing()
"""Stands for an attribute or a unit that a context lacks; None is a value (null) there."""


def as_text(value: object) -> str | None:
    """Return the value as an exact str, or None."""
    kind = type(value)
    return str.__str__(cast("str", value)) if issubclass(kind, str) else None


def as_number(value: object) -> int | float | None:
    """Return the value as an exact int or a finite, exact float, or None. True is no number."""
    kind = type(value)
    if kind is bool:
        return None
    if issubclass(kind, int):
        return int.__int__(cast("int", value))
    if issubclass(kind, float):
        number = float.__float__(cast("float", value))
        return number if isfinite(number) else None
    return None


def as_list(value: object) -> list[object] | tuple[object, ...] | None:
    """Return the value as an exact list or tuple, or None."""
    kind = type(value)
    if kind is list:
        return cast("list[object]", value)
    if kind is tuple:
        return cast("tuple[object, ...]", value)
    if issubclass(kind, list):
        return list.__getitem__(cast("list[object]", value), slice(None))
    if issubclass(kind, tuple):
        return tuple.__getitem__(cast("tuple[object, ...]", value), slice(None))
    return None


def as_map(value: object) -> dict[object, object] | None:
    """Return the value if it is a dict, or None. Use `dict`'s own methods on it."""
    return cast("dict[object, object]", value) if issubclass(type(value), dict) else None


def class_of(value: object) -> str | None:
    """Return the name of the value's type class, as the operator `type` knows it, or None where it has none."""
    if value is None:
        return "null"
    if type(value) is bool:
        return "boolean"
    for name, convert in (("string", as_text), ("number", as_number), ("list", as_list), ("map", as_map)):
        if convert(value) is not None:
            return name
    return None
