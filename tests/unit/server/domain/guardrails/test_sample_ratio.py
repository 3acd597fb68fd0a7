"""Sample ratio: exact, found, and with the power to object before anything is healthy."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from rollout_server.domain.guardrails import sample_ratio
from rollout_server.domain.guardrails.data import ExposureSums, UnitCounts
from rollout_server.domain.guardrails.sample_ratio import TILTS, RatioState, could_object, increments, units_needed
from tests.guardrail_windows import HALF, binomial


def exposures(
    number: int,
    candidate: UnitCounts,
    control: UnitCounts,
    *,
    reach_ppm: int = HALF,
    run: int = 1,
    kept: int = 1_000_000,
) -> ExposureSums:
    return ExposureSums(run, 1, reach_ppm, "", number, candidate, control, kept)


def drawn(share: float, *, reach_ppm: int = HALF, windows: int = 60, seed: int = 1) -> RatioState:
    """A run in which each unit is the candidate's with this chance."""
    rng, state = Random(seed), sample_ratio.start(1)  # noqa: S311 - a seeded world
    for number in range(windows):
        mine = sum(rng.random() < share for _ in range(200))
        counts = UnitCounts(mine, mine), UnitCounts(200 - mine, 200 - mine)
        state = sample_ratio.absorb(state, [exposures(number, *counts, reach_ppm=reach_ppm)])
    return state


@pytest.mark.parametrize("reach", [0.01, 0.25, 0.5, 0.95])
def test_every_increment_expects_exactly_one(reach: float) -> None:
    """At every reach, every outcome enumerated, for each tilt."""
    n = 20
    for place in range(len(TILTS)):
        found = sum(chance * exp(increments(y, n, reach)[place]) for y, chance in enumerate(binomial(n, reach)))
        assert found == pytest.approx(1)


@pytest.mark.parametrize("reach_ppm", [10_000, HALF, 950_000])
def test_a_right_split_raises_no_alarm(reach_ppm: int) -> None:
    """Whatever the reach configures is what is expected."""
    assert not sample_ratio.is_skewed(drawn(reach_ppm / 1_000_000, reach_ppm=reach_ppm))


@pytest.mark.parametrize("share", [0.42, 0.58])
def test_a_wrong_split_is_found_in_either_direction(share: float) -> None:
    """A tenth of the units missing from one arm, or twice counted, is an alarm with its likely causes."""
    state = drawn(share)
    assert sample_ratio.is_skewed(state)
    text = sample_ratio.explain(state)
    assert f"{state.exposed_shares.candidate / state.exposed_shares.both:.1%} of exposed units" in text
    assert "50.0% were configured; likely causes: units that crash" in text


def test_units_that_never_report_are_missed() -> None:
    """A candidate that loses a quarter of its units before they report is skewed, though exposure is right."""
    state = sample_ratio.start(1)
    for number in range(60):
        counts = UnitCounts(100, 75), UnitCounts(100, 100)
        state = sample_ratio.absorb(state, [exposures(number, *counts)])
    assert sample_ratio.is_skewed(state)
    assert "of reporting units" in sample_ratio.explain(state)


def test_power_grows_with_units_only() -> None:
    """Until a bad split would have been seen, the test could not object; a few windows at 1 % are not enough."""
    assert not sample_ratio.could_object(drawn(0.01, reach_ppm=10_000, windows=10))
    assert sample_ratio.could_object(drawn(0.5, windows=40))


def test_a_bad_split_is_mostly_found_before_healthy_could_fire() -> None:
    """Of forty runs with the split that power is reckoned for, at most one in ten could be healthy before the alarm."""
    early = 0
    for seed in range(40):
        rng, state = Random(seed), sample_ratio.start(1)  # noqa: S311 - a seeded world
        for number in range(400):
            mine = sum(rng.random() < 0.45 for _ in range(100))
            counts = UnitCounts(mine, mine), UnitCounts(100 - mine, 100 - mine)
            state = sample_ratio.absorb(state, [exposures(number, *counts)])
            if sample_ratio.is_skewed(state):
                break
            if sample_ratio.could_object(state):
                early += 1
                break
    assert early <= 4


def test_where_everybody_is_exposed_there_is_no_ratio() -> None:
    """Pilots at reach 100 % count as units, and as nothing else."""
    state = sample_ratio.absorb(
        sample_ratio.start(1), [exposures(0, UnitCounts(500, 500), UnitCounts(), reach_ppm=1_000_000)]
    )
    assert state.candidate_units == 500
    assert sample_ratio.log_e(state) == pytest.approx(0)
    assert state.power == 0


def test_windows_count_once_and_in_order() -> None:
    """A repeated window, an older one and another run's change nothing."""
    counts = UnitCounts(30, 30), UnitCounts(20, 20)
    state = sample_ratio.absorb(sample_ratio.start(1), [exposures(5, *counts)])
    again = [exposures(5, *counts), exposures(4, *counts), exposures(6, *counts, run=2)]
    assert sample_ratio.absorb(state, again) == state


def test_units_are_counted_back_from_the_sample() -> None:
    """With an eighth of the units kept, eighty stand for 640."""
    counts = UnitCounts(80), UnitCounts(40)
    state = sample_ratio.absorb(sample_ratio.start(1), [exposures(0, *counts, kept=125_000)])
    assert (state.candidate_units, state.control_units) == (640, 320)
    assert "of exposed units" in sample_ratio.explain(sample_ratio.start(1))


@pytest.mark.parametrize("reach_ppm", [10_000, HALF, 950_000])
def test_how_many_units_it_takes_to_object(reach_ppm: int) -> None:
    """After as many units it could object, and a little before it could not."""
    needed = units_needed(reach_ppm / 1_000_000)
    for units, wanted in ((1.02 * needed, True), (0.98 * needed, False)):
        mine = round(units * reach_ppm / 1_000_000)
        state = sample_ratio.absorb(
            sample_ratio.start(1),
            [exposures(0, UnitCounts(mine), UnitCounts(round(units) - mine), reach_ppm=reach_ppm)],
        )
        assert could_object(state) is wanted
