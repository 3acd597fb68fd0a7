"""One guardrail at one look: every case of data, what it leads to, and why."""

from __future__ import annotations

from dataclasses import replace
from math import log, nan

import pytest

from rollout_server.domain.guardrails import sample_ratio
from rollout_server.domain.guardrails.data import Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.guardrails.judge import Judge, limit_of
from rollout_server.domain.guardrails.look import Feed, Look
from rollout_server.domain.guardrails.sample_ratio import RatioState
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Guardrail, Limit, MetricSpec, RelativeLimit
from rollout_server.domain.guardrails.state import GuardrailState
from rollout_server.domain.guardrails.together import verdicts
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict
from tests.guardrail_windows import (
    CONVERSION,
    ERRORS,
    KINDS,
    P95,
    REQUESTS,
    dealt,
    fair_ratio,
    had,
    look,
    window,
    world,
)

TWENTY = RelativeLimit(200_000)
FULL = 1_000_000
FAULTS = [
    Reason.EMPTY,
    Reason.NOT_A_NUMBER,
    Reason.STALE,
    Reason.ONE_ARM,
    Reason.COUNTER_RESET,
    Reason.SLOW,
    Reason.FAILING,
    Reason.UNREACHABLE,
    Reason.REFUSED,
    Reason.UNREADABLE,
    Reason.WRONG_TYPE,
    Reason.TOO_MANY_SERIES,
    Reason.TOO_LARGE,
    Reason.MIXED_REACH,
    Reason.NO_SOURCE,
]


def skewed() -> RatioState:
    counts = UnitCounts(4000, 4000), UnitCounts(6000, 6000)
    return sample_ratio.absorb(sample_ratio.start(1), [ExposureSums(1, 1, 500_000, "", 0, *counts)])


def judge(limit: Limit = TWENTY, metric: MetricSpec = ERRORS) -> Judge:
    return Judge(metric, Guardrail("metric", limit))


def told(share: float, *, windows: int = 60, first: int = 0, reach_ppm: int = 500_000) -> list[WindowSums]:
    control = Cell() if reach_ppm == FULL else had(500, 50)
    return [
        window(number, had(500, 500 * share), control, reach_ppm=reach_ppm) for number in range(first, first + windows)
    ]


def seen(
    windows: list[WindowSums], now: Look | None = None, *, limit: Limit = TWENTY, state: GuardrailState | None = None
) -> Verdict:
    now = now or look()
    one = judge(limit)
    state = one.absorb(state, windows, now)
    return verdicts([one], [state], [now])[0]


def test_a_regression_is_degraded_with_its_figures() -> None:
    """Estimate, interval beyond the limit, E beyond 1/alpha, units, the last window, harm, and the sentence."""
    verdict = seen(told(0.2))
    assert (verdict.standing, verdict.reason) == (Standing.DEGRADED, Reason.PAST_LIMIT)
    assert verdict.estimate == pytest.approx(1.0)
    assert verdict.low is not None
    assert verdict.high is not None
    assert 0.2 <= verdict.low < 1.0 < verdict.high
    assert verdict.log_e >= log(100)
    assert (verdict.limit, verdict.relative, verdict.last_window) == (0.2, True, 59)
    assert (verdict.candidate_units, verdict.control_units) == (10_000, 10_000)
    assert verdict.harm == pytest.approx(60 * 500 * verdict.high * 0.1)
    assert verdict.verdict_in_ms == 0
    assert verdict.sentence.startswith("metric +100.0 % [+")
    assert verdict.sentence.endswith("is past its limit +20.0 %; 10 000 users exposed")


def test_no_regression_becomes_healthy() -> None:
    """A regression beyond the tolerance is ruled out, the units are there, the sample ratio could have objected."""
    verdict = seen(told(0.1), look(units=10_000))
    assert (verdict.standing, verdict.reason, verdict.hold) == (Standing.HEALTHY, Reason.RULED_OUT, False)


def test_thin_evidence_is_undecided_and_says_how_long() -> None:
    """Neither past the limit nor ruled out; at recent traffic the verdict is some windows away."""
    verdict = seen(told(0.1, windows=3))
    assert (verdict.standing, verdict.reason) == (Standing.UNDECIDED, Reason.NOT_ENOUGH)
    assert verdict.verdict_in_ms is not None
    assert verdict.verdict_in_ms > 0
    assert verdict.verdict_in_ms % 60_000 == 0


def test_before_the_first_window_nothing_is_said() -> None:
    """No data is not healthy and not degraded."""
    verdict = seen([])
    assert (verdict.standing, verdict.estimate, verdict.last_window) == (Standing.UNDECIDED, None, None)
    assert verdict.verdict_in_ms is None


def test_too_few_units_are_not_healthy() -> None:
    """However good the figures, the minimum must be reached in both arms."""
    counts = UnitCounts(19_000, 19_000), UnitCounts(1000, 1000)
    ratio = sample_ratio.absorb(sample_ratio.start(1), [ExposureSums(1, 1, 950_000, "", 0, *counts)])
    verdict = seen(told(0.1), look(ratio, units=1001))
    assert (verdict.standing, verdict.reason) == (Standing.UNDECIDED, Reason.TOO_FEW_UNITS)
    assert "1 000 of at least 1 001 users exposed in the smaller arm" in verdict.sentence


def test_healthy_waits_for_the_sample_ratio() -> None:
    """While a bad split could not have been seen, nothing is healthy."""
    verdict = seen(told(0.1), look(fair_ratio(400)))
    assert (verdict.standing, verdict.reason) == (Standing.UNDECIDED, Reason.RATIO_UNPROVEN)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_a_broken_sample_ratio_suppresses_blame_and_health(share: float) -> None:
    """Skewed holds, whatever the figures say, and names likely causes."""
    verdict = seen(told(share), look(skewed()))
    assert (verdict.standing, verdict.reason, verdict.hold) == (Standing.SKEWED, Reason.SKEW, True)
    assert "40.0% of exposed units are the candidate's, 50.0% were configured" in verdict.sentence


def test_a_skewed_run_still_rolls_back_for_an_absolute_limit_without_control() -> None:
    """Where everybody is exposed no split can be wrong: the limit alone decides."""
    alone = told(0.4, reach_ppm=FULL)
    assert seen(alone, look(skewed()), limit=AbsoluteLimit(0.1)).reason is Reason.PAST_LIMIT
    assert seen(told(0.4), look(skewed()), limit=AbsoluteLimit(0.1)).reason is Reason.SKEW


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_source_is_blind_with_its_reason(fault: Reason) -> None:
    """Empty, NaN, stale, one arm missing, a counter reset, a slow or failing server: each blind, none healthy."""
    verdict = seen(told(0.1), look(feed=Feed(fault=fault, detail="as it said")))
    assert (verdict.standing, verdict.reason) == (Standing.BLIND, fault)
    assert verdict.sentence.endswith("(as it said)")
    assert "is blind: " in verdict.sentence


def test_nobody_reporting_is_blind_and_reporting_nothing_is_quiet() -> None:
    """No report by the watermark where instances should report; reports of a quiet night are something else."""
    healthy = told(0.1)
    assert seen(healthy, look(feed=Feed(expected=4, reporting=0))).reason is Reason.NO_REPORTS
    night = [*healthy, window(60, Cell(), Cell())]
    verdict = seen(night, look(feed=Feed(expected=4, reporting=4)))
    assert (verdict.standing, verdict.reason) == (Standing.UNDECIDED, Reason.QUIET)
    assert seen(healthy, replace(look(), passed=59)).standing is Standing.HEALTHY
    assert seen(healthy, replace(look(), passed=60)).reason is Reason.QUIET
    nobody = seen(night, look(feed=Feed(expected=0, reporting=0)))
    assert nobody.reason is Reason.QUIET
    assert nobody.sentence.endswith("no process was connected by the watermark")


@pytest.mark.parametrize("silent", ["candidate", "control"])
def test_one_silent_arm_is_blind(silent: str) -> None:
    """An arm that sends nothing while the other sends what makes that no chance is never healthy."""
    loud, mute = had(500, 50), Cell()
    arms = (mute, loud) if silent == "candidate" else (loud, mute)
    verdict = seen([*told(0.1), window(60, *arms)])
    assert (verdict.standing, verdict.reason) == (Standing.BLIND, Reason.ONE_ARM)
    again = seen([*told(0.1), window(60, *arms), *told(0.1, first=61, windows=1)])
    assert again.standing is Standing.HEALTHY


def test_a_few_missing_outcomes_of_a_small_arm_are_chance() -> None:
    """At 1 % and ten outcomes a window the candidate may well have had none."""
    few = window(60, Cell(), had(10, 1), reach_ppm=10_000)
    assert seen([*told(0.1), few]).standing is Standing.HEALTHY


@pytest.mark.parametrize("cell", [Cell(10, nan, nan), Cell(10, 11, 11), Cell(-1, 0, 0)])
def test_impossible_sums_are_left_out_and_blind(cell: Cell) -> None:
    """NaN, more failures than units, or a negative count is no evidence, and the window is not judged twice."""
    one, now = judge(), look()
    before = one.absorb(None, told(0.1), now)
    after = one.absorb(before, [window(60, cell, had(10, 1))], now)
    assert (after.regression, after.healthy, after.judged) == (before.regression, before.healthy, 60)
    assert verdicts([one], [after], [now])[0].reason is Reason.IMPOSSIBLE
    mended = one.absorb(after, told(0.1, first=61, windows=1), now)
    assert verdicts([one], [mended], [now])[0].standing is Standing.HEALTHY


def test_windows_are_judged_once_and_in_order() -> None:
    """A duplicated, late, foreign or shuffled window changes nothing that an orderly stream would not."""
    one, now = judge(), look()
    orderly = one.absorb(None, told(0.13), now)
    assert one.absorb(None, told(0.13)[::-1], now) == orderly
    noise = [
        *told(0.9, windows=30),
        replace(told(0.9, windows=61)[60], run=2),
        replace(told(0.9, windows=61)[60], metric="m"),
    ]
    assert one.absorb(orderly, noise, now) == orderly


def test_a_new_run_starts_at_one_and_stages_carry_on() -> None:
    """E survives a stage, a pause and an allocation of its run, and no new run."""
    one, now = judge(), look()
    state = one.absorb(None, told(0.2), now)
    evidence = one.log_e(state)
    next_stage = replace(now, stage="quarter")
    grown = one.absorb(state, [window(200, had(500, 100), had(500, 50), allocation=2, reach_ppm=250_000)], next_stage)
    assert one.log_e(grown) > evidence
    again = one.absorb(grown, [], look(fair_ratio(run=2)))
    assert (again.run, again.judged) == (2, None)
    assert one.log_e(again) == pytest.approx(0)


def test_without_a_control_only_absolute_limits_judge() -> None:
    """With the whole audience exposed relative guardrails are unjudged, neither blocking nor advancing."""
    everybody = told(0.9, reach_ppm=FULL)
    verdict = seen(everybody)
    assert (verdict.standing, verdict.reason, verdict.hold) == (Standing.UNJUDGED, Reason.NO_CONTROL, False)
    assert verdict.log_e == pytest.approx(0)
    assert seen(everybody, limit=AbsoluteLimit(0.5)).standing is Standing.DEGRADED
    assert seen(told(0.1, reach_ppm=FULL), limit=AbsoluteLimit(0.5)).standing is Standing.HEALTHY


def test_pilots_with_habits_of_their_own_are_compared_with_nobody() -> None:
    """A cohort at reach 100 % with thrice the errors beside strangers at 1 % is no evidence either way."""
    windows = []
    for number in range(100):
        windows.append(window(number, had(300, 90), Cell(), reach_ppm=FULL, stratum="pilots"))
        windows.append(window(number, had(10, 1), had(990, 99), reach_ppm=10_000, stratum="rest"))
    verdict = seen(windows)
    assert verdict.log_e < log(3)
    assert verdict.standing is not Standing.DEGRADED


def test_a_shared_outage_holds_and_is_not_blamed() -> None:
    """Both arms break an absolute limit: hold, and say so; a relative guardrail sees nothing."""
    outage = [window(number, had(500, 250), had(500, 250)) for number in range(60)]
    verdict = seen(outage, limit=AbsoluteLimit(0.1))
    assert (verdict.standing, verdict.reason, verdict.hold) == (Standing.UNDECIDED, Reason.SHARED_OUTAGE, True)
    assert "a shared outage, the candidate is not blamed" in verdict.sentence
    assert seen(outage).standing is Standing.HEALTHY


def test_an_unclear_partner_holds() -> None:
    """Past an absolute limit beside a control too thin to tell: hold until one of the two is shown."""
    thin = [window(number, had(1900, 400), had(3, 0), reach_ppm=950_000) for number in range(2)]
    verdict = seen(thin, limit=AbsoluteLimit(0.1))
    assert (verdict.reason, verdict.hold) == (Reason.PARTNER_UNCLEAR, True)


def test_degraded_wins_over_blind() -> None:
    """Evidence that is already there is acted on, though the source fails now."""
    assert seen(told(0.2), look(feed=Feed(expected=3, reporting=0))).standing is Standing.DEGRADED


def test_low_can_be_what_harms() -> None:
    """A conversion that falls by a fifth is past -3 %, with the interval on its side of the limit."""
    one, now = judge(RelativeLimit(-30_000), CONVERSION), look()
    state = one.absorb(None, [part for parts in world(CONVERSION, 0.7, windows=120) for part in parts], now)
    verdict = verdicts([one], [state], [now])[0]
    assert verdict.standing is Standing.DEGRADED
    assert verdict.high is not None
    assert verdict.high <= -0.03
    assert limit_of(RelativeLimit(-30_000)) == -0.03


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [RelativeLimit(300_000), AbsoluteLimit(0.35)])
def test_every_kind_can_be_judged(kind: str, limit: Limit) -> None:
    """Each kind and limit gives a verdict with a sentence, at every look."""
    shown = RelativeLimit(-300_000) if kind == "conversion" and isinstance(limit, RelativeLimit) else limit
    one, now, state = judge(shown, KINDS[kind]), look(), None
    for parts in world(KINDS[kind], 1.0, windows=25):
        state = one.absorb(state, parts, now)
        assert one.verdict(state, now).sentence.startswith("metric")


def test_a_quantile_reckons_harm_in_units() -> None:
    """For a quantile the expected harm is units exposed times the interval's bound."""
    one, now, state = judge(RelativeLimit(100_000), P95), look(), None
    for parts in world(P95, 1.0, windows=100):
        state = one.absorb(state, parts, now)
    assert state is not None
    verdict = one.verdict(state, now)
    assert verdict.high is not None
    assert verdict.harm == pytest.approx(10_000 * verdict.high)


@pytest.mark.parametrize(
    ("candidate", "reach_ppm", "is_blind"),
    [
        (dealt([(5, 0.0)] * 30), 100_000, False),  # one user's events
        (dealt([(at, 0.0) for at in range(3)]), 100_000, False),
        (dealt([(at, 0.0) for at in range(12)]), 100_000, True),
        (had(4, 0), 10_000, False),
        (had(5, 0), 10_000, True),
    ],
)
def test_few_outcomes_in_one_arm_are_chance(candidate: Cell, reach_ppm: int, *, is_blind: bool) -> None:
    """A quiet service is not blind because its last visitors happened to be exposed."""
    metric = REQUESTS if candidate.bucket_n else ERRORS
    judge = Judge(metric, Guardrail("metric", RelativeLimit(200_000)))
    state = judge.absorb(None, [window(0, candidate, Cell(), reach_ppm=reach_ppm)], look())
    assert (judge.verdict(state, look()).reason is Reason.ONE_ARM) is is_blind
