"""Which test judges which metric."""

from __future__ import annotations

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import Clustered
from rollout_server.domain.guardrails.difference import AtLeast, Difference
from rollout_server.domain.guardrails.families import is_bounded, is_high, joined, one_arm, two_arms
from rollout_server.domain.guardrails.means import Means
from rollout_server.domain.guardrails.one_sample import (
    Against,
    OneClustered,
    OneClusteredQuantile,
    OneMean,
    OneRate,
)
from rollout_server.domain.guardrails.paired import Counters, Signs
from rollout_server.domain.guardrails.quantiles import ClusteredQuantiles, Quantiles
from rollout_server.domain.guardrails.rates import Rates
from rollout_server.domain.guardrails.spec import Measures, MetricSpec, Source
from tests.guardrail_windows import CONVERSION, ERRORS, KINDS

TWO = {
    "errors": Rates,
    "conversion": Rates,
    "requests": Clustered,
    "counts": Means,
    "basket": Means,
    "latency": Clustered,
    "p95": Quantiles,
    "p95 of requests": ClusteredQuantiles,
    "counters": Counters,
    "bare ratio": Signs,
}
ONE = {
    "errors": OneRate,
    "conversion": OneRate,
    "requests": OneClustered,
    "counts": OneMean,
    "basket": OneMean,
    "latency": OneClustered,
    "p95": OneRate,
    "p95 of requests": OneClusteredQuantile,
    "counters": Against,
    "bare ratio": Against,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_test(kind: str) -> None:
    """Exact where units are independent, classes where events cluster, pairs where nothing better is known."""
    assert type(two_arms(KINDS[kind], Bound(1.1, rising=True))) is TWO[kind]
    assert type(one_arm(KINDS[kind], 0.5, rising=True)) is ONE[kind]


def test_counters_of_units_are_exact() -> None:
    """Prometheus counters that count each unit once are proportions like any other."""
    metric = MetricSpec(Measures.PROPORTION, source=Source.PROMETHEUS, numerator="a", denominator="b")
    assert type(two_arms(metric, Bound(1.0, rising=True))) is Rates


@pytest.mark.parametrize("measures", [Measures.COUNT, Measures.MEAN])
def test_counters_tell_no_variance_of_values(measures: Measures) -> None:
    """So means and counts per unit are judged by the spread of windows; a test that waits for squares never would."""
    metric = MetricSpec(measures, source=Source.PROMETHEUS, numerator="a", denominator="b")
    assert type(two_arms(metric, Bound(1.0, rising=True))) is Counters
    assert type(one_arm(metric, 0.5, rising=True)) is Against


def test_at_least_joins_two_edges() -> None:
    """A margin adds the difference beside the ratio; without one there is nothing to join."""
    assert isinstance(joined(ERRORS, Bound(1.2, rising=True), 0.001, both=True), AtLeast)
    assert isinstance(joined(ERRORS, Bound(1.2, rising=True), 0.0, both=True), Rates)
    assert isinstance(two_arms(ERRORS, Bound(1.0, rising=True, margin=0.1)), Difference)


def test_directions_and_bounds_are_read_from_the_metric() -> None:
    """Only proportions are bounded; only `bad: low` falls."""
    assert is_high(ERRORS)
    assert not is_high(CONVERSION)
    assert [kind for kind, metric in KINDS.items() if is_bounded(metric)] == [
        "errors",
        "conversion",
        "requests",
        "counters",
    ]
