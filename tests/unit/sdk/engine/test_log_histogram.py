"""Bins of durations."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.log_histogram import BIN_MAX, BIN_MIN, BINS_PER_DOUBLING, bin_of
from rollout_server.domain.guardrails import histogram


@given(st.floats(allow_nan=False))
def test_who_counts_and_who_reads_share_one_law(value: float) -> None:
    """A process and the statistics put every value into the same bin."""
    if math.isfinite(value):
        assert bin_of(value) == histogram.bin_of(value)
    assert BIN_MIN <= bin_of(value) <= BIN_MAX


def test_a_doubling_has_thirty_two_bins() -> None:
    """Zero, less, and what is out of bounds lie in the outermost bins."""
    assert bin_of(2.0) - bin_of(1.0) == BINS_PER_DOUBLING
    assert [bin_of(0.0), bin_of(-1.0), bin_of(1e-300)] == [BIN_MIN] * 3
    assert [bin_of(1e300), bin_of(math.inf)] == [BIN_MAX] * 2
