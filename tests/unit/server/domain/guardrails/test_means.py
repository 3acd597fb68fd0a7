"""Means and unbounded counts."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.means import CLIP, Means, clipped, reaches, tilted
from tests.guardrail_windows import BASKET, COUNTS, valued, window, world

RISING = Bound(1.0, rising=True)


def test_a_tilt_expects_at_most_one_beyond_clipping() -> None:
    """For a standard normal score, clipped at 3, no strength on the grid expects more than one per mille above 1."""
    step = 0.01
    for strength in (0.05, 0.5, 1.0, 2.0, 3.0):
        found = sum(
            step * exp(-z * z / 2) / sqrt(2 * pi) * exp(tilted(clipped(z), strength, [1.0])[0])
            for z in (step * number for number in range(-800, 800))
        )
        assert found <= 1.001


def test_one_giant_value_is_no_evidence() -> None:
    """A single order of a million is clipped, and teaches a variance that keeps it from counting again."""
    test = Means(RISING)
    state = test.start()
    for number in range(50):
        calm = valued([1.0, 2.0, 3.0] * 10)
        rich = valued([1.0, 2.0, 3.0] * 10 + [1e6] * (number == 30))
        state = test.absorb(state, [window(number, rich, calm)])
        assert test.log_e(state) < log(30)


def test_an_outage_that_both_arms_share_is_judged_by_its_own_spread() -> None:
    """When all values grow tenfold at once, the spread of earlier windows makes no evidence of ten times the noise."""
    test = Means(RISING)
    calm = window(0, valued([1.0, 2.0, 3.0] * 10), valued([1.0, 2.0, 3.0] * 10))
    state = test.absorb(test.start(), [calm])
    after = test.absorb(state, [window(1, valued([10.0, 20.0, 33.0] * 10), valued([10.0, 20.0, 30.0] * 10))])
    assert test.log_e(after) < 0.5  # by the spread of the window before it would be 3.7


@pytest.mark.parametrize("metric", [BASKET, COUNTS])
def test_a_raised_mean_is_found(metric: object) -> None:
    """Half as much again is found where high is bad, and is none where low is."""
    rising, falling = Means(RISING), Means(Bound(1.0, rising=False))
    up, down = rising.start(), falling.start()
    for parts in world(metric, 1.5):  # type: ignore[arg-type]  # both are metrics
        up, down = rising.absorb(up, parts), falling.absorb(down, parts)
    assert rising.log_e(up) > log(100)
    assert falling.log_e(down) < 0


def test_the_variance_comes_from_earlier_windows() -> None:
    """The first window is no evidence, however large: nothing earlier says what is usual."""
    test = Means(RISING)
    state = test.absorb(test.start(), [window(0, valued([100.0] * 50), valued([1.0] * 50))])
    assert test.log_e(state) == pytest.approx(0)


def test_without_a_positive_level_nothing_is_relative() -> None:
    """A metric around zero, or below, has no relative change to judge."""
    test = Means(RISING)
    state = test.start()
    for number in range(30):
        state = test.absorb(state, [window(number, valued([-1.0, -3.0] * 20), valued([-2.0, -4.0] * 20))])
    assert test.log_e(state) == pytest.approx(0)


def test_effects_reach_beyond_the_bound() -> None:
    """A size is a share of the bound, in either direction."""
    assert reaches(rising=True)[0] == pytest.approx(exp(0.04) - 1)
    assert all(0 < reach < 1 for reach in reaches(rising=False))
    assert clipped(99.0) == CLIP == -clipped(-99.0)
