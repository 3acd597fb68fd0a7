"""Sums of one window: what telemetry stores and the statistics read. Everything merges by addition, field by field.

A window belongs to one (run, allocation, reach, stratum), so both its arms are concurrent units of equal reach.
That is the comparison: pooling over time, reach, strata or allocations would compare strangers (Simpson's paradox).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from math import isfinite

from rollout_server.domain.guardrails.histogram import Histogram, merge

HASH_BUCKETS = 64  # classes of a unit hash that is independent of the bucketing law

IntSums = tuple[int, ...]
FloatSums = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm of one metric in one window.

    Attributes:
        n: denominators: units (each counted once per run) for `per: unit`, events for `per: event`.
        x: sum of values; for a proportion, how many had it.
        xx: sum of squared values.
        histogram: counts by bin of `histogram.bin_of`, for quantiles.
        bucket_n, bucket_x: n and x by hash bucket, `HASH_BUCKETS` long, for `per: event`; empty for `per: unit`.
    """

    n: int = 0
    x: float = 0.0
    xx: float = 0.0
    histogram: Histogram = ()
    bucket_n: IntSums = ()
    bucket_x: FloatSums = ()

    def __add__(self, other: Cell) -> Cell:
        return Cell(
            self.n + other.n,
            self.x + other.x,
            self.xx + other.xx,
            merge(self.histogram, other.histogram),
            tuple(a + b for a, b in zip(self.bucket_n, other.bucket_n, strict=True))
            if self.bucket_n and other.bucket_n
            else self.bucket_n or other.bucket_n,
            tuple(a + b for a, b in zip(self.bucket_x, other.bucket_x, strict=True))
            if self.bucket_x and other.bucket_x
            else self.bucket_x or other.bucket_x,
        )


NOTHING = Cell()


@dataclass(frozen=True, slots=True)
class WindowSums:
    """Both arms of one metric in one window of one (run, allocation, reach, stratum).

    Attributes:
        window: ordinal of the window since the epoch: receipt less age, divided by the window's length.
        reach_ppm: of the units in it; at 1 000 000 there is no control.
        stratum: empty where the pipeline has none.
    """

    run: int
    allocation: int
    reach_ppm: int
    stratum: str
    metric: str
    window: int
    candidate: Cell = NOTHING
    control: Cell = NOTHING

    def __add__(self, other: WindowSums) -> WindowSums:
        """Sums of the same place from another report.

        Raises:
            ValueError: they belong to different windows, which are never pooled.
        """
        if self.place != other.place:
            raise ValueError(f"sums of {self.place} and {other.place} are never pooled")
        return WindowSums(*self.place, self.candidate + other.candidate, self.control + other.control)

    @property
    def place(self) -> tuple[int, int, int, str, str, int]:
        """What they are sums of."""
        return self.run, self.allocation, self.reach_ppm, self.stratum, self.metric, self.window


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """Units of one arm in one window, kept by the distinct sample whose threshold both arms share.

    Attributes:
        exposed: seen in this run for the first time.
        reporting: reported an outcome in this run for the first time.
    """

    exposed: int = 0
    reporting: int = 0

    def __add__(self, other: UnitCounts) -> UnitCounts:
        return UnitCounts(self.exposed + other.exposed, self.reporting + other.reporting)


@dataclass(frozen=True, slots=True)
class ExposureSums:
    """Newly exposed units of one window of one (run, allocation, reach, stratum).

    Attributes:
        kept_ppm: share of units that the sample kept when these were counted; divides counts back to units.
    """

    run: int
    allocation: int
    reach_ppm: int
    stratum: str
    window: int
    candidate: UnitCounts = field(default=UnitCounts())
    control: UnitCounts = field(default=UnitCounts())
    kept_ppm: int = 1_000_000


def is_possible(cell: Cell, *, bounded: bool) -> bool:
    """Whether such sums can come from data at all.

    Args:
        cell: sums of one arm.
        bounded: each value is between 0 and 1, as for a proportion.
    """
    numbers = chain((cell.n, cell.x, cell.xx), cell.bucket_n, cell.bucket_x)
    if not all(isfinite(number) for number in numbers):
        return False
    if cell.n < 0 or cell.xx < 0 or any(count < 0 for _, count in cell.histogram):
        return False
    if cell.n == 0 and (cell.x != 0 or cell.xx != 0):
        return False
    if any(n < 0 for n in cell.bucket_n) or len(cell.bucket_n) not in {0, HASH_BUCKETS}:
        return False
    return len(cell.bucket_x) == len(cell.bucket_n) and (not bounded or 0 <= cell.x <= cell.n)


def last_passed(now_ms: int, late_ms: int, window_ms: int) -> int:
    """Return the last window that the watermark (now less late) has passed; it waits for nobody."""
    return (now_ms - late_ms) // window_ms - 1
