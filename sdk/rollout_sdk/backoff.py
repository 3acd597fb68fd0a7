"""How long to wait before trying again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

GROWTH_MAX = 8
"""A crowd that dials in vain spreads over so many times what its server asked for, and no more: a small one must not be
away for half a minute because its server was for five seconds."""


def bound_ms(within_ms: int, max_ms: int) -> int:
    """Return the bound of all waits.

    Args:
        within_ms: over how long the crowd is to come back, as its server said.
        max_ms: bound whatever it said.
    """
    return min(max_ms, GROWTH_MAX * within_ms)


def backoff_ms(attempt: int, base_ms: int, max_ms: int, rng: random.Random) -> float:
    """Return how long to wait before dialling again: full jitter.

    Args:
        attempt: failures in a row, from 0.
        base_ms: bound of the first wait; it doubles with each failure.
        max_ms: bound of all waits.
        rng: seeded by each process for itself, else a crowd that was cut off together comes back together.
    """
    return rng.uniform(0, min(max_ms, base_ms * 2 ** min(attempt, 32)))
