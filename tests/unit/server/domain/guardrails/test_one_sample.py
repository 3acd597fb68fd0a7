"""One arm against a number."""

from __future__ import annotations

from itertools import product
from math import exp, log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.families import one_arm
from rollout_server.domain.guardrails.one_sample import Against, OneRate, beyond, plain, swapped
from rollout_server.domain.guardrails.paired import Signs
from rollout_server.domain.guardrails.spec import MetricSpec
from tests.guardrail_windows import KINDS, binomial, had, valued, window, world

# What cell() of guardrail_windows draws at factor 1, for each kind.
LIMITS = {
    "errors": 0.2,
    "conversion": 0.2,
    "requests": 0.2,
    "counts": 0.113,
    "basket": 0.113,
    "latency": 0.113,
    "p95": 0.228,
    "p95 of requests": 0.228,
    "counters": 0.2,
    "bare ratio": 1.0,
}


@pytest.mark.parametrize(("limit", "rising"), list(product((0.05, 0.5, 0.95), (True, False))))
def test_a_rate_against_a_limit_expects_at_most_one(limit: float, rising: bool) -> None:  # noqa: FBT001 - a case
    """At the limit and inside it, E of a window with every outcome enumerated."""
    test, n = OneRate(limit, rising=rising), 12
    for share in (limit, limit * 0.5) if rising else (limit, (1 + limit) / 2):
        found = sum(
            chance * exp(test.log_e(test.absorb(test.start(), [window(0, had(n, x), had(0, 0))])))
            for x, chance in enumerate(binomial(n, share))
        )
        assert found <= 1 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_sees_a_limit_broken_and_kept(kind: str) -> None:
    """A level at 1.6 of the limit is past it, at 0.6 it is ruled out that it were."""
    metric: MetricSpec = KINDS[kind]
    above, below = one_arm(metric, LIMITS[kind], rising=True), one_arm(metric, LIMITS[kind], rising=False)
    if kind == "conversion":
        above, below = below, above
    high, low = above.start(), below.start()
    factor = 0.6 if kind == "conversion" else 1.6
    for parts in world(metric, factor):
        high, low = above.absorb(high, parts), below.absorb(low, parts)
    assert above.log_e(high) > log(100)
    assert below.log_e(low) < log(3)


def test_values_beyond_a_limit_are_counted() -> None:
    """Above it where high is bad, below it where low is."""
    cell = valued([0.1, 0.2, 0.9])
    assert beyond(0.5, high=True)(cell) == (3, 1)
    assert beyond(0.5, high=False)(cell) == (3, 2)
    assert plain(had(3, 2)) == (3, 2)


def test_the_control_can_be_judged_in_the_candidates_place() -> None:
    """Swapping leaves nobody in the control."""
    assert swapped(window(4, had(3, 1), had(9, 2))) == window(4, had(9, 2), had(0, 0))


def test_a_number_can_stand_for_a_control() -> None:
    """A test of two arms judges against a limit, whatever the control did."""
    test = Against(Signs(Bound(1.0, rising=True)), 2.0)
    state = test.start()
    for number in range(20):
        state = test.absorb(state, [window(number, had(1, 2.1), had(1, 99.0))])
    assert test.log_e(state) > log(100)
