"""Luck that repeats: the same seed draws the same numbers on every machine and in every release of Python.

SplitMix64 (Steele, Lea and Flood 2014) in integers. Small counts are drawn exactly, large ones as rounded normals.
"""

from __future__ import annotations

from math import cos, exp, log, log1p, pi, sqrt

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_EXACT_MAX = 30.0
"""Expected counts from here on are drawn as normals: there they differ by less than the eye sees."""


class Chance:
    """A stream of draws. Each has its own; nothing is shared."""

    def __init__(self, seed: int) -> None:
        """Begin at a seed."""
        self._state = (seed * _GOLDEN + 1) & _MASK

    def uniform(self) -> float:
        """Return a number in (0, 1)."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (((mixed ^ (mixed >> 31)) >> 11) + 0.5) / (1 << 53)

    def normal(self) -> float:
        """Return a standard normal."""
        return sqrt(-2 * log(self.uniform())) * cos(2 * pi * self.uniform())

    def poisson(self, mean: float) -> int:
        """Return a count with this mean; 0 for none."""
        if mean <= 0:
            return 0
        if mean >= _EXACT_MAX:
            return max(0, round(mean + sqrt(mean) * self.normal()))
        count, product, floor = 0, self.uniform(), exp(-mean)
        while product > floor:
            count += 1
            product *= self.uniform()
        return count

    def binomial(self, count: int, share: float) -> int:
        """Return how many of `count` have what each has with this probability."""
        if share <= 0 or count <= 0:
            return 0
        if share >= 1:
            return count
        if share > 0.5:  # noqa: PLR2004 - a half: the rarer side is drawn
            return count - self.binomial(count, 1 - share)
        if count * share >= _EXACT_MAX:
            drawn = round(count * share + sqrt(count * share * (1 - share)) * self.normal())
            return min(count, max(0, drawn))
        found, place, gap = -1, 0.0, log1p(-share)
        while place <= count:  # from one that has it to the next
            found += 1
            place += int(log(self.uniform()) / gap) + 1
        return found
