"""What earlier windows say of a metric's level, per stratum: predictions only, never evidence.

Fixing a rate, a variance or a threshold from windows that are already judged keeps it predictable, which is what
makes the next increment's expectation at most 1. Old windows fade, so that a daily cycle is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout_server.domain.guardrails.data import Cell

FADE = 0.97  # per window: half is forgotten after 23 windows


@dataclass(frozen=True, slots=True)
class Level:
    """Faded sums of both arms of one stratum."""

    stratum: str
    n: float
    x: float
    xx: float

    @property
    def mean(self) -> float:
        """The level. Only a level with n above 0 is kept."""
        return self.x / self.n

    @property
    def variance(self) -> float:
        """Of one value around the level."""
        return max(0.0, self.xx / self.n - self.mean**2)


Levels = tuple[Level, ...]


def level_of(levels: Levels, stratum: str) -> Level | None:
    """Return what is known of a stratum, None before its first outcomes."""
    for level in levels:
        if level.stratum == stratum:
            return level
    return None


def learn(levels: Levels, stratum: str, candidate: Cell, control: Cell) -> Levels:
    """Return the levels after one more window of a stratum."""
    n = candidate.n + control.n
    if not n:
        return levels
    known = level_of(levels, stratum)
    x, xx = candidate.x + control.x, candidate.xx + control.xx
    if known is None:
        return (*levels, Level(stratum, n, x, xx))
    after = Level(stratum, FADE * known.n + n, FADE * known.x + x, FADE * known.xx + xx)
    return tuple([after if level is known else level for level in levels])
