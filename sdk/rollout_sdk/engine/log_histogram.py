"""Bins of durations: a thirty-second of a doubling each, about 2.2 % wide. A law: who counts and who reads share it."""

from __future__ import annotations

from math import floor, log2

BINS_PER_DOUBLING = 32
BIN_MIN = -32 * BINS_PER_DOUBLING
"""Everything below 2**-32, zero and less included."""
BIN_MAX = 32 * BINS_PER_DOUBLING
"""Everything from 2**32 on."""


def bin_of(value: float) -> int:
    """Return the bin of a value that is not NaN: floor(log2(value) * 32), bounded."""
    if value <= 0:
        return BIN_MIN
    return min(BIN_MAX, max(BIN_MIN, floor(min(float(BIN_MAX), log2(value) * BINS_PER_DOUBLING))))
