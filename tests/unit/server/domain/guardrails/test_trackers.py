"""What is shown of two arms."""

from __future__ import annotations

from math import exp, inf

import pytest

from rollout_server.domain.guardrails import interval
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.histogram import above
from rollout_server.domain.guardrails.interval import Tracker
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.guardrails.trackers import Buckets, Likelihoods, Pairs, Shifts, crossing, tail
from tests.guardrail_windows import BASKET, ERRORS, P95, P95_REQUESTS, REQUESTS, had, valued, window, world

CASES = [
    (Likelihoods(), ERRORS),
    (Buckets(), REQUESTS),
    (Pairs(), BASKET),
    (Shifts(high=True, clustered=False), P95),
    (Shifts(high=True, clustered=True), P95_REQUESTS),
]


@pytest.mark.parametrize(("tracker", "metric"), CASES)
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_the_true_ratio_is_estimated(tracker: Tracker, metric: MetricSpec, factor: float) -> None:
    """Each tracker recovers the ratio that the world has, inside its interval, with a sensible error."""
    state = interval.start(tracker)
    for parts in world(metric, factor, windows=80):
        state = interval.absorb(tracker, state, parts, place=-71.0)  # near the 0.95 quantile of the control
    span = interval.whole(tracker, state)
    assert span is not None
    assert exp(span.low) < factor < exp(span.high)
    assert exp(span.estimate) == pytest.approx(factor, rel=0.12)
    assert 0 < span.error < 0.2


@pytest.mark.parametrize("tracker", [tracker for tracker, _ in CASES])
def test_one_arm_alone_adds_nothing(tracker: Tracker) -> None:
    """Without a partner there is nothing to compare."""
    assert not tracker.terms(window(0, valued([1.0] * 5), Cell()), 10.0)
    assert tracker.span((0.0,) * tracker.size) is None


def test_a_quantile_needs_a_place() -> None:
    """Before earlier windows fix the cut nothing is summed."""
    assert not Shifts(high=True, clustered=False).terms(window(0, valued([1.0]), valued([1.0])), None)


def test_an_open_side_is_infinite() -> None:
    """No failure in the control rules out no large ratio."""
    tracker = Likelihoods()
    span = tracker.span(tuple(tracker.terms(window(0, had(100, 5), had(100, 0)), None)))
    assert span is not None
    assert span.high == inf
    assert crossing([1.0, 1.0], 1, 1) == crossing([1.0, 1.0], 1, -1)
    assert crossing([1.0, -1.0, 1.0], 1, 1) < crossing([1.0, -1.0, -1.0], 1, 1) == inf


def test_the_quick_tail_counts_like_the_plain_one() -> None:
    """Counting above many cuts at once agrees with counting above one."""
    histogram = valued([0.1, 0.2, 0.2, 0.5, 3.0]).histogram
    everything, over = tail(histogram)
    assert everything == 5
    for cut in (-200.0, -107.0, -74.3, -74.0, -32.0, 50.7, 51.2, 400.0):
        assert over(cut) == pytest.approx(above(histogram, cut))
