"""Bins of durations."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.log_histogram import BIN_MAX, BIN_MIN, BINS_PER_DOUBLING, bin_of


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_bins_keep_the_order_and_have_bounds(one: float, other: float) -> None:
    """Whoever merges bins of many processes may compare them: a larger value is never in a lower bin."""
    low, high = sorted((one, other))
    assert BIN_MIN <= bin_of(low) <= bin_of(high) <= BIN_MAX


def test_a_doubling_has_thirty_two_bins() -> None:
    """Zero, less, and what is out of bounds lie in the outermost bins."""
    assert bin_of(2.0) - bin_of(1.0) == BINS_PER_DOUBLING
    assert [bin_of(0.0), bin_of(-1.0), bin_of(1e-300)] == [BIN_MIN] * 3
    assert [bin_of(1e300), bin_of(math.inf)] == [BIN_MAX] * 2
