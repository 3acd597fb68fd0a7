"""Quantities read from a document."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout_server.domain.files.quantities import (
    read_change,
    read_count,
    read_duration,
    read_points,
    read_quantile,
    read_share,
    show_quantile,
)
from rollout_server.domain.files.shape import Reading


@pytest.mark.parametrize(
    ("read", "value", "meant"),
    [
        (read_duration, "90s", 90_000),
        (read_share, "25%", 250_000),
        (read_change, "+20%", 200_000),
        (read_change, "-0.5%", -5_000),
        (read_points, "0.1pp", 1_000),
        (read_quantile, "p99.9", 999_000),
        (read_count, 200, 200),
    ],
)
def test_what_is_written_is_what_is_meant(
    read: Callable[[Reading, object, str], int], value: object, meant: int
) -> None:
    """Exact integers, in the unit that the name says."""
    reading = Reading()
    assert read(reading, value, "spec.x") == meant
    assert reading.problems == []


@pytest.mark.parametrize(
    ("read", "value", "code", "said"),
    [
        (read_duration, 30, "bad_duration", "found the number 30 (say the unit: 30s for seconds"),
        (read_duration, "30", "bad_duration", "has no unit (write 30s"),
        (read_duration, "400d", "out_of_range", "longer than 366d"),
        (read_duration, True, "wrong_type", "a duration is wanted, found the boolean true"),
        (read_duration, None, "wrong_type", "found nothing"),
        (read_change, "20%", "bad_percentage", "has no sign (write +20%"),
        (read_change, "+100000%", "bad_percentage", "100000% or more"),
        (read_change, 20, "wrong_type", "a relative change"),
        (read_points, "0.1%", "bad_percentage", "is no number of percentage points"),
        (read_points, "-0.1pp", "bad_percentage", "it is negative"),
        (read_quantile, "95", "bad_quantile", "write it like p95"),
        (read_quantile, "p0", "bad_quantile", "is not a quantile"),
        (read_quantile, "p100", "bad_quantile", "is not a quantile"),
        (read_count, -1, "bad_count", "is no count"),
        (read_count, 1.5, "wrong_type", "a whole number"),
    ],
)
def test_what_leaves_a_question_open_is_refused(
    read: Callable[[Reading, object, str], int], value: object, code: str, said: str
) -> None:
    """One problem, at its place, with what to write."""
    reading = Reading()
    read(reading, value, "spec.x")
    (problem,) = reading.problems
    assert (problem.path, problem.code) == ("spec.x", code)
    assert said in str(problem)


def test_quantiles_are_shown_as_they_are_written() -> None:
    """p95 and p99.9."""
    assert [show_quantile(950_000), show_quantile(999_000)] == ["p95", "p99.9"]
