"""All guards of a run together: what is kept, what starts anew, and what is said where nothing can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.guardrails.data import Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.guardrails.look import Feed
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail, Measures, MetricSpec, RelativeLimit
from rollout_server.domain.guardrails.verdict import Reason, Standing
from rollout_server.domain.judging import (
    PROCESS_LOST_GUARD,
    Evidence,
    Found,
    Standpoint,
    absorbed,
    as_seen,
    begin,
    built_in,
    exposed_units,
    judged,
    standpoint_of,
    unseen,
    watched,
)
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.telemetry import PROCESS_LOST

ERRORS = MetricSpec(Measures.PROPORTION)
HERE = Standpoint(1, "canary", 0, "user", 1_000)
LIMIT = Guardrail("errors", RelativeLimit(200_000))
CAP = Guardrail("errors", AbsoluteLimit(0.5))


def run(*guardrails: Guardrail) -> Run:
    return Run("launch", "checkout", "off", "on", 1, PipelineSpec((Stage("canary", 500_000),), guardrails))


def windows(count: int, candidate_bad: int, first: int = 0, metric: str = "errors") -> tuple[WindowSums, ...]:
    good, bad = Cell(100, 5.0, 5.0), Cell(100, float(candidate_bad), float(candidate_bad))
    return tuple(WindowSums(1, 1, 500_000, "", metric, first + at, bad, good) for at in range(count))


def exposures(count: int, first: int = 0) -> tuple[tuple[ExposureSums, ...], int]:
    both = UnitCounts(100, 100)
    sums = tuple(ExposureSums(1, 1, 500_000, "", first + at, both, both) for at in range(count))
    return sums, first + count - 1


def look(evidence: Evidence, guards: Any, found: dict[str, Found], count: int = 20) -> tuple[Evidence, dict[str, Any]]:
    evidence = absorbed(evidence, guards, HERE, found, exposures(count))
    return evidence, dict(judged(evidence, guards, HERE, found))


def test_every_run_watches_for_lost_processes() -> None:
    """Unless its pipeline has a guardrail of its own on them."""
    assert [guard.name for guard in watched(run(LIMIT), {"errors": ERRORS})] == ["errors", PROCESS_LOST]
    own = Guardrail(PROCESS_LOST, AbsoluteLimit(0.05))
    assert built_in(run(own).pipeline) == ()
    (guard,) = watched(run(own), {})
    assert (guard.name, guard.guardrail.action) == (PROCESS_LOST, Action.ROLLBACK)
    assert guard.metric is not None


def test_two_guardrails_of_one_metric_have_names_of_their_own() -> None:
    """Both read the same windows, each by its limit."""
    guards = watched(run(LIMIT, CAP), {"errors": ERRORS})
    assert [guard.name for guard in guards[:2]] == ["errors", "errors#2"]
    _, said = look(begin(1), guards, {"errors": Found(windows(20, 30), passed=19)})
    assert said["errors"].standing is Standing.DEGRADED
    assert said["errors#2"].standing is not Standing.DEGRADED


def test_windows_are_judged_once() -> None:
    """The same ones again add nothing, and what was judged is remembered by metric."""
    guards = watched(run(LIMIT), {"errors": ERRORS})
    found = {"errors": Found(windows(20, 6), passed=19)}
    once, _ = look(begin(1), guards, found)
    again, _ = look(once, guards, found)
    assert again == once
    assert once.judged == {"": 19, "errors": 19}


def test_evidence_for_another_meaning_is_none() -> None:
    """A limit or a metric that changed is judged from windows that come."""
    first = watched(run(LIMIT), {"errors": ERRORS})
    evidence, said = look(begin(1), first, {"errors": Found(windows(20, 30), passed=19)})
    assert said["errors"].standing is Standing.DEGRADED
    other = watched(run(replace(LIMIT, limit=RelativeLimit(300_000))), {"errors": ERRORS})
    evidence, said = look(evidence, other, {"errors": Found(windows(1, 5, first=20), passed=20)}, 21)
    assert said["errors"].standing is Standing.UNDECIDED
    assert evidence.cases["errors"].state.candidate_n == 100


@pytest.mark.parametrize("stays", [True, False])
def test_a_metric_that_is_gone_is_blindness(*, stays: bool) -> None:
    """Others are judged on."""
    guards = watched(run(LIMIT, Guardrail("gone", RelativeLimit(1))), {"errors": ERRORS} if stays else {})
    _, said = look(begin(1), guards, {"errors": Found(windows(20, 5), passed=19)})
    assert (said["gone"].standing, said["gone"].reason) == (Standing.BLIND, Reason.NO_METRIC)
    assert (said["errors"].standing is Standing.BLIND) is not stays


def test_what_nobody_asked_for_keeps_no_run_waiting() -> None:
    """Undecided processes are unjudged; lost ones hold."""
    guards = watched(run(), {})
    few = WindowSums(1, 1, 1_000_000, "", PROCESS_LOST, 0, Cell(4, 0.0, 0.0))
    _, said = look(begin(1), guards, {PROCESS_LOST: Found((few,), passed=0)})
    assert said[PROCESS_LOST].standing is Standing.UNJUDGED
    many = tuple(replace(few, window=at, candidate=Cell(40, 30.0, 30.0)) for at in range(5))
    _, said = look(begin(1), guards, {PROCESS_LOST: Found(many, passed=4)})
    assert said[PROCESS_LOST].standing is Standing.DEGRADED
    assert PROCESS_LOST_GUARD.action is Action.HOLD


def test_where_the_store_is_away_all_are_blind() -> None:
    """Each with its sentence, as the machine reads it."""
    guards = watched(run(LIMIT), {"errors": ERRORS})
    seen = as_seen(unseen(guards))
    assert [(one.guard, one.standing) for one in seen] == [
        ("errors", Standing.BLIND),
        (PROCESS_LOST, Standing.BLIND),
    ]
    assert "store" in seen[0].sentence


def test_nobody_reports_is_blindness_of_that_metric() -> None:
    """The feed says who should have."""
    guards = watched(run(LIMIT), {"errors": ERRORS})
    _, said = look(begin(1), guards, {"errors": Found((), Feed(expected=3, reporting=0), passed=19)})
    assert said["errors"].reason is Reason.NO_REPORTS


def at(*entered: Entered, stages: tuple[Stage, ...]) -> Run:
    return replace(run(LIMIT), pipeline=PipelineSpec(stages, (LIMIT,)), phase=Phase.RUNNING, entered=entered)


STAFF = InCohort("staff")


@pytest.mark.parametrize(
    ("stages", "has_control"),
    [
        ((Stage("a", 200_000),), True),
        ((Stage("a", 1_000_000),), False),
        ((Stage("a", 1_000_000, STAFF),), False),
        ((Stage("a", 1_000_000, STAFF), Stage("b", 10_000)), True),
        ((Stage("a", 500_000, STAFF), Stage("b", 1_000_000, STAFF)), False),
        ((Stage("a", 500_000, STAFF), Stage("b", 1_000_000)), False),
    ],
)
def test_a_control_is_whoever_no_stage_exposes(stages: tuple[Stage, ...], *, has_control: bool) -> None:
    """Of all stages entered, not of the last window that came in."""
    entered = tuple(Entered(place, 1, stage.share_ppm) for place, stage in enumerate(stages))
    assert standpoint_of(at(*entered, stages=stages), "user", 1).expects_control is has_control


def test_where_a_control_is_expected_nothing_is_unjudged() -> None:
    """A stage after one without control waits for the first window that has one, and does not pass unjudged."""
    guards = watched(run(LIMIT), {"errors": ERRORS})
    whole = replace(windows(1, 5)[0], reach_ppm=1_000_000)
    found = {"errors": Found((whole,), passed=0)}
    evidence = absorbed(begin(1), guards, HERE, found, exposures(1))
    assert dict(judged(evidence, guards, HERE, found))["errors"].standing is Standing.UNJUDGED
    expecting = replace(HERE, expects_control=True)
    assert dict(judged(evidence, guards, expecting, found))["errors"].standing is Standing.UNDECIDED


def test_a_share_that_grew_exposes_some_who_were_control() -> None:
    """Of 1,000 seen at 10 %, half are exposed at 50 %, whether or not they came back."""
    stages = (Stage("a", 100_000), Stage("b", 500_000))
    seen = UnitCounts(100, 0), UnitCounts(900, 0)
    sums = ExposureSums(1, 1, 100_000, "", 0, *seen)
    evidence = absorbed(begin(1), (), HERE, {}, ((sums,), 0))
    assert exposed_units(at(Entered(0, 1, 100_000), stages=stages), evidence) == 100
    assert exposed_units(at(Entered(0, 1, 100_000), Entered(1, 1, 500_000), stages=stages), evidence) == 500
