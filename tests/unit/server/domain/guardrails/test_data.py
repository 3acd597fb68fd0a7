"""Sums merge by addition, and only where they may."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, UnitCounts, WindowSums, is_possible, last_passed
from tests.guardrail_windows import dealt, had, valued, window


def test_cells_merge_field_by_field() -> None:
    """Two reports count as one report of both, whatever they hold."""
    first, second = [(3, 0.1), (3, 0.4)], [(3, 0.2), (60, 5.0)]
    merged, whole = dealt(first) + dealt(second), dealt(first + second)
    assert merged.x == pytest.approx(whole.x)
    assert (merged.n, merged.histogram, merged.bucket_n) == (whole.n, whole.histogram, whole.bucket_n)
    assert merged.bucket_x == pytest.approx(whole.bucket_x)
    assert dealt(first) + Cell() == dealt(first) == Cell() + dealt(first)
    assert UnitCounts(1, 2) + UnitCounts(3, 4) == UnitCounts(4, 6)


def test_windows_of_one_place_merge() -> None:
    """Reports of two instances about one window add up, arm by arm."""
    part = window(7, had(10, 1), had(20, 2))
    assert part + part == window(7, had(20, 2), had(40, 4))


PART = window(7, had(10, 1), had(20, 2))


@pytest.mark.parametrize(
    "other",
    [
        replace(PART, run=2),
        replace(PART, allocation=2),
        replace(PART, reach_ppm=1),
        replace(PART, stratum="t"),
        replace(PART, metric="m"),
        replace(PART, window=8),
    ],
)
def test_other_places_are_never_pooled(other: WindowSums) -> None:
    """Time, reach, strata, allocations, runs and metrics stay apart."""
    with pytest.raises(ValueError, match="never pooled"):
        _ = PART + other


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (Cell(1, nan), "NaN"),
        (Cell(1, inf), "infinite"),
        (Cell(-1), "fewer than none"),
        (Cell(1, 1, -1), "a negative square"),
        (Cell(0, 1), "a sum of nothing"),
        (Cell(3, 4, 4), "more failures than units"),
        (Cell(3, -1, 1), "fewer failures than none"),
        (Cell(1, 1, 1, ((4, -1),)), "a negative bin"),
        (Cell(1, 1, 1, (), (1,), (1.0,)), "too few hash buckets"),
        (Cell(1, 1, 1, (), (1,) * HASH_BUCKETS, ()), "buckets of one kind only"),
        (Cell(1, 1, 1, (), (-1,) * HASH_BUCKETS, (0.0,) * HASH_BUCKETS), "a negative bucket"),
        (Cell(1, 1, 1, (), (1,) * HASH_BUCKETS, (nan,) * HASH_BUCKETS), "NaN in a bucket"),
    ],
)
def test_impossible_sums_are_told(cell: Cell, why: str) -> None:
    """Sums that no data can have are never evidence."""
    assert not is_possible(cell, bounded=True), why


def test_possible_sums_pass() -> None:
    """Ordinary sums are possible, and a mean may exceed its count."""
    assert all(is_possible(cell, bounded=True) for cell in (Cell(), had(3, 3), dealt([(1, 1.0)])))
    assert is_possible(valued([4.0, 5.0]), bounded=False)


def test_the_watermark_waits_for_nobody() -> None:
    """A window is judged once now less late is past its end, and not before."""
    assert last_passed(now_ms=120_000, late_ms=0, window_ms=60_000) == 1
    assert last_passed(now_ms=119_999, late_ms=0, window_ms=60_000) == 0
    assert last_passed(now_ms=240_000, late_ms=120_000, window_ms=60_000) == 1
