"""Healthy rules out a regression beyond the tolerance, stage by stage."""

from __future__ import annotations

from math import log

import pytest

from rollout_server.domain.guardrails.healthy import Healthy, edge, is_ruled_out, tolerance
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Guardrail, Limit, MetricSpec, RelativeLimit
from tests.guardrail_windows import CONVERSION, ERRORS, had, window, world


@pytest.mark.parametrize(
    ("metric", "limit", "given", "expected"),
    [
        (ERRORS, RelativeLimit(100_000), 0, 1.15),
        (ERRORS, RelativeLimit(100_000), 300_000, 1.3),
        (ERRORS, RelativeLimit(0), 0, 1.05),
        (CONVERSION, RelativeLimit(-30_000), 0, 0.955),
        (ERRORS, AbsoluteLimit(0.02), 0, 0.03),
        (ERRORS, AbsoluteLimit(0.02), 100_000, 0.022),
        (CONVERSION, AbsoluteLimit(0.3), 0, 0.2),
        (ERRORS, AbsoluteLimit(0.8), 0, 0.9),
    ],
)
def test_the_tolerance_is_half_as_large_again(metric: MetricSpec, limit: Limit, given: int, expected: float) -> None:
    """As the limit allows, unless the guardrail says; "no worse at all" tolerates 5 %."""
    guardrail = Guardrail("metric", limit, tolerance_ppm=given)
    assert edge(metric, guardrail) == pytest.approx(expected)
    assert tolerance(guardrail) > 0


def test_no_difference_becomes_healthy_and_a_regression_does_not() -> None:
    """Evidence grows when the candidate is as good as the control, and never when it is worse than tolerated."""
    guardrail = Guardrail("metric", RelativeLimit(200_000))
    test = Healthy(ERRORS, guardrail)
    good, bad = test.start("canary"), test.start("canary")
    for fine, broken in zip(world(ERRORS, 1.0, windows=100), world(ERRORS, 1.5, windows=100), strict=True):
        good, bad = test.absorb(good, "canary", fine), test.absorb(bad, "canary", broken)
    assert is_ruled_out(test.log_e(good, "canary"))
    assert not is_ruled_out(test.log_e(bad, "canary"))


def test_each_stage_starts_again() -> None:
    """What one stage showed is not carried into the next."""
    test = Healthy(ERRORS, Guardrail("metric", RelativeLimit(200_000)))
    state = test.start("canary")
    for parts in world(ERRORS, 1.0, windows=100):
        state = test.absorb(state, "canary", parts)
    assert test.log_e(state, "quarter") == 0
    state = test.absorb(state, "quarter", [window(100, had(10, 1), had(10, 1))])
    assert abs(test.log_e(state, "quarter")) < 1


def test_an_absolute_limit_is_ruled_out_for_the_candidate() -> None:
    """Far below an SLO is healthy; at the tolerance it is not."""
    test = Healthy(ERRORS, Guardrail("metric", AbsoluteLimit(0.3)))
    far, near = test.start("a"), test.start("a")
    for number in range(50):
        far = test.absorb(far, "a", [window(number, had(100, 20), had(100, 20))])
        near = test.absorb(near, "a", [window(number, had(100, 45), had(100, 20))])
    assert test.log_e(far, "a") > log(20) > test.log_e(near, "a")


def test_at_least_widens_what_is_tolerated() -> None:
    """Within the absolute margin is healthy even where the ratio is large."""
    test = Healthy(ERRORS, Guardrail("metric", RelativeLimit(200_000, at_least=0.01)))
    state = test.start("a")
    for number in range(50):
        state = test.absorb(state, "a", [window(number, had(1000, 4), had(1000, 2))])
    assert is_ruled_out(test.log_e(state, "a"))
