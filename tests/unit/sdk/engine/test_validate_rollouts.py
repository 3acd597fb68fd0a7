"""Rollouts and audiences, by themselves and against what there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.model import PPM, All, Any, Condition, InCohort, Not, Reach, RolloutState
from rollout_sdk.engine.validate_rollouts import check_audience, check_names, check_rollout, is_empty
from tests.small_world import cohort, flag, leaf, rollout

KR = leaf("country", "equals", "KR")
STATE = rollout("x", "checkout", Reach("canary", 1, KR), never=(KR,))
COHORTS = {
    "staff": cohort("staff", ["u"]),
    "nobody": cohort("nobody"),
    "outer": cohort("outer", when=InCohort("nobody")),
    "excluded": cohort("excluded", ["u"], ["u", "v"]),
    "ring": cohort("ring", when=InCohort("ring")),
    "all": cohort("all", when=All(())),
}


def alone(state: RolloutState) -> list[tuple[str, str]]:
    findings = Findings("rollout/x")
    check_rollout(findings, state)
    assert {problem.resource for problem in findings.problems} <= {"rollout/x"}
    return [(problem.path, problem.code) for problem in findings.problems]


def named(state: RolloutState) -> list[tuple[str, str]]:
    findings = Findings("rollout/x")
    check_names(findings, state, {"checkout": flag()}, COHORTS)
    return [(problem.path, problem.code) for problem in findings.problems]


def test_a_rollout_in_order_has_no_problems() -> None:
    assert alone(STATE) == named(STATE) == []


@pytest.mark.parametrize(
    ("state", "path", "code"),
    [
        (replace(STATE, rollout="X"), "metadata.key", "bad_key"),
        (replace(STATE, salt="short"), "spec.salt", "bad_salt"),
        (replace(STATE, law=2), "", "unknown_law"),
        (replace(STATE, unit="User"), "", "bad_unit"),
        (replace(STATE, to_variant="off"), "spec.to", "from_is_to"),
        (replace(STATE, never=(KR, leaf("n", "<", "5"))), "spec.never[1].<", "bad_operand"),
        (replace(STATE, never=(KR,) * (limits.NEVER_PER_FLAG + 1)), "spec.never", "too_many"),
        (replace(STATE, reaches=(Reach("a b", PPM + 1),)), 'run.stages["a b"].share', "bad_share"),
        (replace(STATE, reaches=(Reach("a", 1, leaf("n", "<", "5")),)), "run.stages.a.audience.<", "bad_operand"),
        (replace(STATE, reaches=STATE.reaches * (limits.STAGES_PER_PIPELINE + 1)), "run.stages", "too_many"),
    ],
)
def test_each_fault_is_told_with_its_place(state: RolloutState, path: str, code: str) -> None:
    assert alone(state) == [(path, code)]


@pytest.mark.parametrize(
    ("state", "path", "code"),
    [
        (replace(STATE, flag="checkuot"), "spec.flag", "unknown_flag"),
        (replace(STATE, from_variant="of"), "spec.from", "unknown_variant"),
        (replace(STATE, to_variant="onn"), "spec.to", "unknown_variant"),
        (replace(STATE, never=(Not(InCohort("stuff")),)), "spec.never[0].not.cohort", "unknown_cohort"),
        (
            replace(STATE, reaches=(Reach("a", 1, All((KR, InCohort("stuff")))),)),
            "run.stages.a.audience.all[1].cohort",
            "unknown_cohort",
        ),
    ],
)
def test_each_name_that_is_not_there_is_told(state: RolloutState, path: str, code: str) -> None:
    assert named(state) == [(path, code)]


@pytest.mark.parametrize(
    ("audience", "path", "code"),
    [
        (InCohort("stuff"), "spec.stages[1].audience.cohort", "unknown_cohort"),
        (leaf("n", "<", "5"), "spec.stages[1].audience.<", "bad_operand"),
        (Any(()), "spec.stages[1].audience", "empty_audience"),
        (InCohort("nobody"), "spec.stages[1].audience", "empty_audience"),
        (All((KR, InCohort("outer"))), "spec.stages[1].audience", "empty_audience"),
        (Not(All(())), "spec.stages[1].audience", "empty_audience"),
        (Not(InCohort("all")), "spec.stages[1].audience", "empty_audience"),
        (InCohort("excluded"), "spec.stages[1].audience", "empty_audience"),
    ],
)
def test_an_audience_is_told_at_the_place_of_the_caller(audience: Condition, path: str, code: str) -> None:
    """Pipelines have their own documents."""
    findings = Findings("pipeline/careful")
    check_audience(findings, audience, "spec.stages[1].audience", COHORTS)
    assert [(problem.resource, problem.path, problem.code) for problem in findings.problems] == [
        ("pipeline/careful", path, code)
    ]


@pytest.mark.parametrize(
    "audience",
    [
        *(None, KR, InCohort("staff"), Not(InCohort("nobody")), Any((Any(()), KR)), All(())),
        *(InCohort("ring"), Not(InCohort("staff")), Not(Any(()))),
    ],
)
def test_an_audience_that_somebody_may_meet_is_no_problem(audience: Condition | None) -> None:
    findings = Findings()
    check_audience(findings, audience, "spec.stages[0].audience", COHORTS)
    assert findings.problems == []
    assert audience is None or not is_empty(audience, COHORTS)
