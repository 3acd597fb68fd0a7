"""Log histograms: bins, merging, and counting beyond a cut."""

from __future__ import annotations

from math import inf

import pytest

from rollout_sdk.engine.log_histogram import BIN_MAX, BIN_MIN, bin_of
from rollout_server.domain.guardrails.histogram import (
    above,
    count,
    cut_at,
    merge,
    position,
    value_at,
)
from tests.guardrail_windows import valued


def test_a_bin_holds_two_per_cent() -> None:
    """Values of one bin differ by less than 2.2 %, and each bin begins where the last one ends."""
    assert bin_of(1.0) == 0
    assert bin_of(2.0) == 32
    assert bin_of(1.02) == 0
    assert bin_of(1.022) == 1
    assert value_at(position(0.118)) == pytest.approx(0.118)


def test_odd_values_have_a_bin() -> None:
    """Zero, negative, tiny, huge and infinite values land at the ends."""
    assert [bin_of(value) for value in (0.0, -3.0, 1e-300)] == [BIN_MIN] * 3
    assert [bin_of(value) for value in (1e300, inf)] == [BIN_MAX] * 2


def test_merging_adds_counts() -> None:
    """Merging equals counting everything at once, in any order."""
    first, second = valued([0.1, 0.2]).histogram, valued([0.2, 0.3]).histogram
    assert merge(first, second) == merge(second, first) == valued([0.1, 0.2, 0.2, 0.3]).histogram
    assert merge((), first) == first == merge(first, ())


def test_a_cut_inside_a_bin_divides_it() -> None:
    """Counts beyond a cut fall smoothly from all to none."""
    histogram = ((10, 4), (11, 8))
    assert [above(histogram, cut) for cut in (9.0, 10.0, 10.5, 11.0, 11.25, 12.0)] == [12, 12, 10, 8, 6, 0]
    assert count(histogram) == 12


def test_the_cut_at_a_quantile() -> None:
    """At most the wanted share lies beyond the cut; of nothing there is none."""
    histogram = ((10, 90), (20, 5), (30, 5))
    assert cut_at(histogram, 0.9) == 11
    assert cut_at(histogram, 0.95) == 21
    assert cut_at(histogram, 1.0) == 31
    assert cut_at((), 0.5) is None
