"""How long things took: counted in buckets, so that any number of observations costs the same memory."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Durations:
    """Seconds that something took each time.

    Attributes:
        sum_s: of all.
    """

    __slots__ = ("_bounds_s", "_counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        """Begin with none.

        Args:
            bounds_s: upper bounds of the buckets, ascending; one without a bound is added.
        """
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self.sum_s = 0.0

    def took(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def up_to(self) -> tuple[tuple[float, int], ...]:
        """Return each upper bound (s) with how many took at most so long; the last bound is infinite."""
        return tuple(zip((*self._bounds_s, float("inf")), accumulate(self._counts), strict=True))
