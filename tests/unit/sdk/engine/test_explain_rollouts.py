"""The steps of a rollout's answer."""

from __future__ import annotations

from rollout_sdk.engine.bucketing import bucket, unit64
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.explain import explain
from rollout_sdk.engine.explain_conditions import Step
from rollout_sdk.engine.model import Any, Cohort, RolloutState
from tests.rulesets import (
    ORIGIN,
    bad_leaf,
    by_rollout,
    cohort,
    compiled,
    flag,
    in_cohort,
    leaf,
    reach,
    rollout,
    ruleset,
)

PRO = leaf("plan", "equals", "pro")


def steps(context: Context, state: RolloutState, *more: Cohort) -> list[Step]:
    """Those of the rule and below it."""
    found = explain(compiled(flag("f", by_rollout()), state, *more), ORIGIN, "f", context).steps
    return [step for step in found if step.label not in ("killed", "default")]


def test_each_stage_the_reach_and_the_bucket_are_told() -> None:
    """Enough to compute the answer by hand."""
    place = bucket(rollout().salt, unit64("u-1"))
    state = rollout(reach(1_000_000, PRO, "pros"), reach(place + 1, stage="canary"), reach(1, in_cohort(), "few"))
    assert steps(Context("u-1", plan="free"), state, cohort("c", ["u-1"])) == [
        Step(0, "rule launch", "true", 'run 1 of rollout x: candidate; serves "on"'),
        Step(1, "stage pros", "false", "share 100%"),
        Step(2, 'attribute plan equals "pro"', "false", 'plan is "free"'),
        Step(1, "stage canary", "true", f"everyone, share {(place + 1) / 10_000:.4f}".rstrip("0") + "%"),
        Step(1, "stage few", "true", "share 0.0001%"),
        Step(2, "cohort c", "true", "by name"),
        Step(1, "reach", "true", f"{(place + 1) / 10_000:.4f}".rstrip("0") + "% by stage canary"),
        Step(1, "exposed", "true", f'bucket {place} of user "u-1" is below {place + 1}: candidate'),
    ]


def test_who_is_not_exposed_is_control() -> None:
    """With the bucket that says so."""
    place = bucket(rollout().salt, unit64("u-1"))
    told = steps(Context("u-1"), rollout(reach(place)))
    assert told[0].detail == 'run 1 of rollout x: control; serves "off"'
    assert told[-1] == Step(1, "exposed", "false", f'bucket {place} of user "u-1" is not below {place}: control')


def test_never_is_told_and_ends_it() -> None:
    """Unknown counts, and what comes after is not reached."""
    state = rollout(reach(1_000_000), never=(PRO, PRO))
    assert steps(Context("u-1"), state) == [
        Step(0, "rule launch", "true", 'run 1 of rollout x does not reach this context; serves "off"'),
        Step(1, "rollout never[0]", "unknown", "keeps it out; unknown counts as true in never"),
        Step(2, 'attribute plan equals "pro"', "unknown", "plan is missing"),
        Step(1, "rollout never[1]", "", ""),
    ]


def test_no_unit_and_no_reach_are_told() -> None:
    """Each with what is served instead."""
    assert steps(Context(), rollout(reach(5)))[0].detail == 'the context has no unit of kind "user"; serves "off"'
    assert steps(Context("u"), rollout())[0].detail == 'rollout x exposes nobody; serves "off"'
    told = steps(Context("u", plan="free"), rollout(reach(5, Any((PRO,)))))
    assert told[0].detail == 'run 1 of rollout x does not reach this context; serves "off"'
    assert told[-1] == Step(1, "reach", "false", "no stage entered")


def test_a_state_that_is_held_back_is_told() -> None:
    """Who reads the explanation must not look for the stage that is not in force."""
    rules = flag("f", by_rollout())
    before = compiled(rules, rollout(reach(5)))
    made = compile_ruleset(ruleset(rules, rollout(reach(5), reach(9, bad_leaf(), "later"))), before)
    told = explain(made, ORIGIN, "f", Context("u-1")).steps
    fault = "stage 'later': country resembles: there is no operator 'resembles'"
    assert Step(1, "rollout x", "true", f"{fault}; the last good state decides") in told
