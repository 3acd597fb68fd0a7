"""How much of memory something takes, roughly: enough to bound what is remembered of people's documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

_TEXT_CHARS = 64


def weight(value: object) -> int:
    """Count the parts of a resource, or of anything that it is made of: some 100 bytes each.

    Long text counts once more for each 64 characters. A list of plain values is not looked at one by one, so that a
    cohort of a million keys is weighed at once.
    """
    total, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        total += 1
        if isinstance(each, str):
            total += len(each) // _TEXT_CHARS
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, (tuple, list, frozenset)):
            if each and isinstance(next(iter(each)), (str, int, float)):
                total += len(each)
            else:
                waiting += each
        elif is_dataclass(each):
            waiting += [getattr(each, field.name) for field in fields(each)]
    return total
