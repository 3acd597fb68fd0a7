"""Mixtures over effect and onset."""

from __future__ import annotations

from math import exp, log

import pytest

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.mixtures import EFFECTS, FROM_START, LATER, PRIOR


def test_the_grid_is_the_documented_one() -> None:
    """Twenty sizes from 0.04 to 4, geometric, with weights that sum to 1."""
    assert len(EFFECTS) == 20
    assert (EFFECTS[0], EFFECTS[-1]) == pytest.approx((0.04, 4.0))
    assert EFFECTS[1] / EFFECTS[0] == pytest.approx(EFFECTS[-1] / EFFECTS[-2])
    assert sum(PRIOR) == pytest.approx(1)


def test_a_restart_weighs_larger_effects_more_and_no_more_in_all() -> None:
    """After a restart the weights of the sizes sum to 1 as well, and lean towards effects whose onset is found fast."""
    assert sum(prior * later for prior, later in zip(PRIOR, LATER, strict=True)) == pytest.approx(1)
    assert list(LATER) == sorted(LATER)


def test_no_common_effect_waits_for_another() -> None:
    """From 10 % to a factor of two and a half no size has less than four fifths of the weight of another."""
    common = [prior for size, prior in zip(EFFECTS, PRIOR, strict=True) if log(1.1) < size < log(2.5)]
    assert len(common) >= 8
    assert min(common) > 0.6 * max(common)


def test_evidence_with_a_prior_of_its_own_restarts_with_it() -> None:
    """Where sizes are weighted alike from the start and later, nothing is created or lost by a restart."""
    state = mixtures.start(3)
    for _ in range(50):
        state = mixtures.grow(state, [0.0] * 3, [1.0] * 3)
    assert mixtures.log_e(state, [1 / 3] * 3) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("windows", [0, 1, 2, 100, 1440, 1441, 1442, 3000, 20_000])
def test_no_weight_is_spent_twice(windows: int) -> None:
    """Onsets that have begun and onsets to come weigh 1 together, at any time."""
    begun = FROM_START + sum(mixtures.restart_weight(window) for window in range(1, windows))
    assert begun + mixtures.unspent(windows) == pytest.approx(1)


def test_without_evidence_e_stays_one() -> None:
    """Windows that say nothing leave E at 1, across restarts."""
    state = mixtures.start()
    for _ in range(2000):
        state = mixtures.grow(state, [0.0] * len(EFFECTS))
    assert mixtures.log_e(state) == pytest.approx(0, abs=1e-9)


def test_the_recursion_is_the_mixture() -> None:
    """The few carried numbers equal the sum over all onsets and sizes, written out."""
    steps = [[0.3 * ((7 * window + size) % 5 - 2) for size in range(len(EFFECTS))] for window in range(40)]
    state = mixtures.start()
    for step in steps:
        state = mixtures.grow(state, step)
    explicit = mixtures.unspent(len(steps))
    for onset in range(len(steps)):
        weight = mixtures.restart_weight(onset) if onset else FROM_START
        explicit += weight * sum(
            prior * (LATER[size] if onset else 1) * exp(sum(step[size] for step in steps[onset:]))
            for size, prior in enumerate(PRIOR)
        )
    assert mixtures.log_e(state) == pytest.approx(log(explicit))


def test_a_late_onset_is_found_without_resetting_alpha() -> None:
    """A thousand windows against the alternative cannot hide what begins afterwards."""
    state = mixtures.start()
    for _ in range(1000):
        state = mixtures.grow(state, [-1.0] * len(EFFECTS))
    for _ in range(15):
        state = mixtures.grow(state, [1.0] * len(EFFECTS))
    assert mixtures.log_e(state) > log(100)


def test_extreme_evidence_stays_finite() -> None:
    """No float overflows or is lost for ever."""
    state = mixtures.start()
    for step in (1e6, 1e6, -1e6, -1e6):
        state = mixtures.grow(state, [step] * len(EFFECTS))
        assert abs(mixtures.log_e(state)) < 1000
