"""Quantiles by counts beyond a predictable cut."""

from __future__ import annotations

from math import log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.histogram import position
from rollout_server.domain.guardrails.quantiles import (
    ClusteredQuantiles,
    Cut,
    Quantiles,
    QuantilesState,
    cut_for,
    faded,
)
from rollout_server.domain.guardrails.rates import RatesState
from rollout_server.domain.guardrails.spec import MetricSpec
from tests.guardrail_windows import P95, P95_REQUESTS, valued, window, world

RISING = Bound(1.0, rising=True)


def judged(bound: Bound, factor: float, metric: MetricSpec = P95, windows: int = 120) -> float:
    kind = Quantiles if metric is P95 else ClusteredQuantiles
    test = kind(bound, 0.95, high=True)
    state = test.start()
    for parts in world(metric, factor, windows=windows):
        state = test.absorb(state, parts)
    return test.log_e(state)


@pytest.mark.parametrize("metric", [P95, P95_REQUESTS])
def test_a_slower_candidate_is_found(metric: MetricSpec) -> None:
    """Half as slow again is past a limit of +10 %; as fast is not."""
    assert judged(Bound(1.1, rising=True), 1.5, metric) > log(100)
    assert judged(Bound(1.1, rising=True), 1.0, metric) < 0


def test_the_limit_shifts_the_candidates_cut() -> None:
    """Exactly as slow as the limit allows is no evidence, and the mirrored test sees that it is within a wider one."""
    assert judged(Bound(1.2, rising=True), 1.2, windows=300) < log(10)
    assert judged(Bound(1.6, rising=False), 1.0, windows=300) > log(20)


def test_the_cut_is_fixed_by_earlier_windows() -> None:
    """What happens in a window cannot move the cut it is judged by."""
    state = QuantilesState(RatesState.__new__(RatesState), faded((), valued([0.1] * 190 + [1.0] * 20).histogram))
    cut = cut_for(state, 0.95, Bound(2.0, rising=True), high=True)
    assert cut is not None
    assert cut.control == pytest.approx(position(1.0), abs=1)
    assert cut.candidate - cut.control == pytest.approx(32)
    slow = cut.beyond(window(9, valued([3.0] * 10), valued([1.5] * 10)))
    assert (slow.candidate.x, slow.control.x) == (10, 10)


def test_until_a_cut_is_known_nothing_is_evidence() -> None:
    """Few values fix no threshold; a margin that leaves nothing positive fixes none either."""
    few = QuantilesState(RatesState.__new__(RatesState), faded((), valued([0.1] * 50).histogram))
    assert cut_for(few, 0.95, RISING, high=True) is None
    many = QuantilesState(RatesState.__new__(RatesState), faded((), valued([0.1] * 500).histogram))
    assert cut_for(many, 0.95, Bound(1.0, rising=False, margin=-5.0), high=True) is None
    test = Quantiles(RISING, 0.95, high=True)
    state = test.absorb(test.start(), [window(0, valued([9.0] * 500), valued([0.1] * 500))])
    assert test.log_e(state) == pytest.approx(0)


def test_where_low_is_bad_what_lies_below_counts() -> None:
    """A candidate whose slowest decile of throughput falls has more values below the cut."""
    cut = Cut(position(1.0), position(1.0), high=False)
    part = cut.beyond(window(0, valued([0.5, 0.5, 2.0]), valued([0.5, 2.0, 2.0])))
    assert (part.candidate.x, part.control.x) == (2, 1)
    test = Quantiles(Bound(0.9, rising=False), 0.1, high=False)
    state = test.start()
    for parts in world(P95, 0.6, windows=120):
        state = test.absorb(state, parts)
    assert test.log_e(state) > log(100)


def test_old_histograms_fade_away() -> None:
    """Values that no longer occur leave the histogram."""
    known = faded((), valued([0.1]).histogram)
    for _ in range(400):
        known = faded(known, valued([5.0]).histogram)
    assert len(known) == 1


def test_states_of_the_two_kinds_do_not_mix() -> None:
    """A metric that changed from unit to event cannot continue the other's evidence."""
    per_unit, per_event = Quantiles(RISING, 0.95, high=True), ClusteredQuantiles(RISING, 0.95, high=True)
    with pytest.raises(TypeError, match="per unit"):
        per_unit.absorb(per_event.start(), [])
    with pytest.raises(TypeError, match="per unit"):
        per_unit.log_e(per_event.start())
    with pytest.raises(TypeError, match="per event"):
        per_event.log_e(per_unit.start())
    assert per_unit.absorb(per_unit.start(), [window(0, Cell(), Cell())]).histogram == ()
