"""How long to wait before trying again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

GROWTH_MAX = 8
"""A crowd that dials in vain spreads over so many times what its server asked for, and no more: a small one must not be
away for half a minute because its server was for five seconds."""

PATIENCE = 8
"""Dials in vain before the crowd spreads further. A server that restarts is back before that: a rollback that it
committed in its last moment must not wait for those who had grown shy."""


def redial_ms(attempt: int, within_ms: int, max_ms: int, rng: random.Random) -> float:
    """Return how long a process waits before it dials a server from which a crowd was cut off.

    Args:
        attempt: dials in vain in a row, from 0.
        within_ms: over how long the crowd is to come back, as its server said.
        max_ms: bound of all waits.
        rng: of the process.
    """
    doublings = min(attempt, 1) + attempt // PATIENCE
    return backoff_ms(doublings, within_ms, min(max_ms, GROWTH_MAX * within_ms), rng)


def backoff_ms(doublings: int, base_ms: int, max_ms: int, rng: random.Random) -> float:
    """Return how long to wait before doing again what failed: full jitter.

    Args:
        doublings: of the first wait's bound; failures in a row, for most.
        base_ms: bound of the first wait.
        max_ms: bound of all waits.
        rng: seeded by each process for itself, else a crowd that was cut off together comes back together.
    """
    return rng.uniform(0, min(max_ms, base_ms * 2 ** min(doublings, 32)))
