"""Strict sameness of plain data. `==` will not do: to Python, True equals 1, and 1 equals 1.0."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache


def same(one: object, other: object) -> bool:
    """Whether two pieces of model or JSON data are alike in every value and every type of value.

    A NaN is the same only as itself. Depth is that of the data, which validation bounds.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if is_dataclass(one) and not isinstance(one, type):
        return all(same(getattr(one, name), getattr(other, name)) for name in _names(type(one)))
    return one == other


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))
