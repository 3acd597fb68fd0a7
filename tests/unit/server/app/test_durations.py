"""Durations: buckets hold what took at most so long."""

from __future__ import annotations

from rollout_server.app.durations import Durations


def test_each_bucket_holds_what_took_at_most_so_long() -> None:
    """A bound belongs to its bucket, as in Prometheus; the last one holds everything."""
    took = Durations((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        took.took(seconds)
    assert took.up_to() == ((0.1, 2), (1.0, 3), (float("inf"), 4))
    assert took.count == 4
    assert took.sum_s == 7.65


def test_before_the_first_there_are_none() -> None:
    assert Durations((1.0,)).up_to() == ((1.0, 0), (float("inf"), 0))
