"""Which tracker shows which metric, and on which scale."""

from __future__ import annotations

from math import inf, log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.difference import AtLeastState
from rollout_server.domain.guardrails.histogram import position
from rollout_server.domain.guardrails.interval import Span
from rollout_server.domain.guardrails.level_trackers import OneBuckets, OneLevel, OneQuantile, OneShare
from rollout_server.domain.guardrails.quantiles import Quantiles
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Guardrail, RelativeLimit
from rollout_server.domain.guardrails.trackers import Buckets, Likelihoods, Pairs, Shifts
from rollout_server.domain.guardrails.tracking import Shown, place_of, shown, tracker_for
from tests.guardrail_windows import ERRORS, KINDS, P95, valued, window

TWO = [Likelihoods, Likelihoods, Buckets, Pairs, Pairs, Buckets, Shifts, Shifts, Pairs, Pairs]
ONE = [OneShare, OneShare, OneBuckets, OneLevel, OneLevel, OneBuckets, OneQuantile, OneQuantile, OneLevel, OneLevel]


@pytest.mark.parametrize(("kind", "two", "one"), list(zip(KINDS, TWO, ONE, strict=True)))
def test_each_kind_has_its_tracker(kind: str, two: type, one: type) -> None:
    """Relative limits show a ratio, absolute ones a level."""
    assert type(tracker_for(KINDS[kind], Guardrail("metric", RelativeLimit(0)))) is two
    assert type(tracker_for(KINDS[kind], Guardrail("metric", AbsoluteLimit(0.3)))) is one


def test_spans_are_read_as_people_speak() -> None:
    """A log ratio becomes a relative difference, a log level a level, an open side nothing."""
    span = Span(log(1.2), -inf, log(2), 0.1)
    ratio, level = shown(span, relative=True), shown(span, relative=False)
    assert (ratio.estimate, ratio.high) == pytest.approx((0.2, 1.0))
    assert (level.estimate, level.high) == pytest.approx((1.2, 2.0))
    assert ratio.low is None
    assert level.low is None
    assert shown(None, relative=True) == Shown()


def test_the_place_of_a_quantile_comes_from_its_test() -> None:
    """The cut that judges is the cut that is shown, with `at_least` too; other metrics have none."""
    test = Quantiles(Bound(1.0, rising=True), 0.95, high=True)
    state = test.absorb(test.start(), [window(0, valued([0.5] * 300), valued([0.5] * 300))])
    place = place_of(state, P95)
    assert place == pytest.approx(position(0.5), abs=1)
    assert place_of(AtLeastState(state, state), P95) == place
    assert place_of(object(), ERRORS) is None
