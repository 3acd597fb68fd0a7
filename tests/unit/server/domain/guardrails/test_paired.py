"""Prometheus: counters, and bare ratios."""

from __future__ import annotations

from itertools import product
from math import exp, log
from random import Random

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.paired import Counters, Signs
from tests.guardrail_windows import COUNTERS, had, window, world

RISING = Bound(1.0, rising=True)


def test_signs_expect_one() -> None:
    """E after five fair windows, every outcome enumerated."""
    test, found = Signs(RISING), 0.0
    for signs in product((-1, 1), repeat=5):
        state = test.start()
        for number, sign in enumerate(signs):
            state = test.absorb(state, [window(number, Cell(1, 2.0 + sign), Cell(1, 2.0))])
        found += exp(test.log_e(state)) / 2**5
    assert found == pytest.approx(1)


def test_ties_and_single_arms_say_nothing() -> None:
    """Equal values, or a value of one arm, leave E at 1."""
    test = Signs(RISING)
    state = test.absorb(test.start(), [window(0, Cell(1, 2.0), Cell(1, 2.0)), window(0, Cell(1, 2.0), Cell())])
    assert test.log_e(state) == pytest.approx(0)


def test_a_ratio_that_is_worse_every_time_is_found() -> None:
    """Windows that agree are evidence; the limit is what they must exceed."""
    for bound, evident in ((1.0, True), (1.5, False)):
        test = Signs(Bound(bound, rising=True))
        state = test.start()
        for number in range(20):
            state = test.absorb(state, [window(number, Cell(1, 2.4), Cell(1, 2.0))])
        assert (test.log_e(state) > log(100)) is evident


def test_counters_find_a_doubling() -> None:
    """Twice as many errors in the counters is found."""
    test = Counters(RISING)
    state = test.start()
    for parts in world(COUNTERS, 2.0):
        state = test.absorb(state, parts)
    assert test.log_e(state) > log(100)


def test_bursts_inside_windows_are_learnt() -> None:
    """Errors that come in bursts of forty do not count as forty."""
    false = 0
    for seed in range(30):
        rng, test = Random(seed), Counters(RISING)  # noqa: S311 - a seeded world
        state, high = test.start(), 0.0
        for number in range(200):
            arms = [had(2000, 40.0 * sum(rng.random() < 0.25 for _ in range(4))) for _ in range(2)]
            state = test.absorb(state, [window(number, *arms)])
            high = max(high, test.log_e(state))
        false += high >= log(100)
    assert false <= 1


def test_the_first_windows_only_teach() -> None:
    """Before a dispersion is known nothing is evidence; one arm alone never is."""
    test = Counters(RISING)
    state = test.absorb(test.start(), [window(0, had(100, 90), had(100, 1)), window(0, had(100, 90), Cell())])
    assert test.log_e(state) == pytest.approx(0)
