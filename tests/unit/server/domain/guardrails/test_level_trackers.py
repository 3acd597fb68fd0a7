"""What is shown of one arm."""

from __future__ import annotations

from math import exp

import pytest

from rollout_server.domain.guardrails import interval
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.interval import Tracker
from rollout_server.domain.guardrails.level_trackers import OneBuckets, OneLevel, OneQuantile, OneShare, residuals
from rollout_server.domain.guardrails.spec import MetricSpec
from tests.guardrail_windows import BASKET, ERRORS, P95, P95_REQUESTS, REQUESTS, dealt, had, window, world

CASES = [
    (OneShare(), ERRORS, 0.2),
    (OneLevel(), BASKET, 0.1133),
    (OneBuckets(), REQUESTS, 0.2),
    (OneQuantile(0.3, 0.05, clustered=False), P95, 0.2276),
    (OneQuantile(0.3, 0.05, clustered=True), P95_REQUESTS, 0.2276),
]


@pytest.mark.parametrize(("tracker", "metric", "level"), CASES)
def test_the_true_level_is_estimated(tracker: Tracker, metric: MetricSpec, level: float) -> None:
    """Each tracker recovers the level that the world has, inside its interval."""
    state = interval.start(tracker)
    for parts in world(metric, 1.0, windows=60):
        state = interval.absorb(tracker, state, parts)
    span = interval.whole(tracker, state)
    assert span is not None
    assert exp(span.low) < level < exp(span.high)
    assert exp(span.estimate) == pytest.approx(level, rel=0.08)
    assert span.error > 0


@pytest.mark.parametrize("tracker", [tracker for tracker, _, _ in CASES])
def test_nothing_seen_nothing_said(tracker: Tracker) -> None:
    """An empty arm adds nothing and has no level."""
    assert not tracker.terms(window(0, Cell(), had(5, 1)), None)
    assert tracker.span((0.0,) * tracker.size) is None


def test_no_failure_has_a_bound_all_the_same() -> None:
    """None of a thousand is a share between nothing and about one per cent; all of them likewise."""
    none = OneShare().span((1000.0, 0.0))
    assert none is not None
    assert exp(none.low) < 1e-6
    assert 0.003 < exp(none.high) < 0.02
    every = OneShare().span((1000.0, 1000.0))
    assert every is not None
    assert exp(every.high) == pytest.approx(1, abs=1e-6)


def test_residuals_sum_to_nothing() -> None:
    """What buckets show beyond their share of events cancels over all of them."""
    assert sum(residuals(dealt([(1, 1.0), (1, 0.0), (9, 1.0)]))) == pytest.approx(0)
