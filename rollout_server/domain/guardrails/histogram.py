"""Log histograms of durations, whose bins are a law of the engine: 2.2 % wide, so a limit is met closely.

A histogram is a tuple of (bin, count), ascending by bin, without zeros. It merges by addition.
"""

from __future__ import annotations

from math import ceil, floor, log2
from typing import TypeAlias

from rollout_sdk.engine.log_histogram import BIN_MAX, BINS_PER_DOUBLING

Histogram: TypeAlias = tuple[tuple[int, int], ...]


def position(value: float) -> float:
    """Return where a positive value lies on the axis of bins; whole numbers are edges.

    A value that is not finite lies at the last edge.
    """
    return min(float(BIN_MAX), log2(value) * BINS_PER_DOUBLING)


def value_at(place: float) -> float:
    """Undo `position`."""
    return float(2.0 ** (place / BINS_PER_DOUBLING))


def merge(first: Histogram, second: Histogram) -> Histogram:
    """Add two histograms."""
    if not first or not second:
        return first or second
    counts = dict(first)
    for index, count in second:
        counts[index] = counts.get(index, 0) + count
    return tuple(sorted(counts.items()))


def count(histogram: Histogram) -> int:
    """Return how many values are in it."""
    return sum(number for _, number in histogram)


def above(histogram: Histogram, cut: float) -> float:
    """Return how many values lie above a cut on the axis of bins.

    The bin that the cut divides counts in proportion, as if values were log-uniform inside those 2.2 %.
    """
    edge = floor(cut)
    whole = sum(number for index, number in histogram if index > edge)
    divided = next((number for index, number in histogram if index == edge), 0)
    return whole + divided * (edge + 1 - cut)


def cut_at(histogram: tuple[tuple[int, float], ...], share: float) -> float | None:
    """Return the upper edge of the bin that holds the quantile `share` (0..1); None when there is nothing in it."""
    everything = sum(number for _, number in histogram)
    if not everything > 0:
        return None
    seen = 0.0
    for index, number in histogram:
        seen += number
        if seen >= share * everything:
            return float(index + 1)
    return float(ceil(histogram[-1][0] + 1))
