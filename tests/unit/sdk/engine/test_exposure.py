"""Whom a rollout exposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.bucketing import bucket, hash_bound, split_head, unit64, unit_hash
from rollout_sdk.engine.conditions import Asked, Uncompilable
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.exposure import compile_exposure, compile_stages, misfit, unexposed_variant
from rollout_sdk.engine.model import Arm, Condition, Reach, Reason, RolloutState
from rollout_sdk.engine.outcomes import Exposure, Outcome, Outcomes, variant_values
from tests.rulesets import bad_leaf, flag, in_cohort, leaf, reach, rollout

PRO = leaf("plan", "equals", "pro")
NOBODY = Exposure("x", 1, None, None, 1, 0)
FLAG = flag("f", default="on")


def outcome(state: RolloutState, context: Context, cohorts: Mapping[str, Asked] | None = None) -> Outcome:
    outcomes = Outcomes(variant_values(FLAG))
    evaluate = compile_exposure(FLAG, "launch", compile_stages(state, cohorts or {}), outcomes).evaluate
    return outcomes.table()[evaluate(context)]


def exposed(stage: str, arm: Arm, reach_ppm: int) -> Outcome:
    variant = "on" if arm is Arm.CANDIDATE else "off"
    return Outcome(variant, Reason.ROLLOUT, "launch", NOBODY._replace(stage=stage, arm=arm, reach_ppm=reach_ppm))


def out(reason: Reason = Reason.ROLLOUT) -> Outcome:
    return Outcome("off", reason, "launch", NOBODY)


def test_the_first_hash_of_a_bucket_is_not_exposed_by_the_share_below() -> None:
    """Strictly less, to the last bit of the hash."""
    salt = rollout().salt
    head = split_head(salt)
    keys = (f"user-{number}" for number in range(100_000))
    key = next(key for key in keys if unit_hash(head, unit64(key).encode()) == hash_bound(bucket(salt, unit64(key))))
    place = bucket(salt, unit64(key))
    for never in ((), (leaf("t", "equals", 1),)):
        for share, arm in ((place, Arm.CONTROL), (place + 1, Arm.CANDIDATE)):
            state = rollout(reach(share), never=never)
            assert outcome(state, Context(key, t=0)) == exposed("canary", arm, share)


def test_reach_is_the_largest_share_that_holds_the_context() -> None:
    """Whatever the order in which the stages were entered; of equal shares the first is told."""
    stages = (reach(10, stage="canary"), reach(900_000, PRO, "pros"), reach(500_000, stage="half"))
    for reaches in (stages, stages[::-1]):
        state = rollout(*reaches)
        found = {outcome(state, Context(f"u-{n}", plan="pro")).exposure for n in range(50)}
        assert {(each.stage, each.reach_ppm) for each in found if each} == {("pros", 900_000)}
        found = {outcome(state, Context(f"u-{n}", plan="free")).exposure for n in range(50)}
        assert {(each.stage, each.reach_ppm) for each in found if each} == {("half", 500_000)}
    twice = rollout(reach(500_000, PRO, "first"), reach(500_000, stage="second"))
    told = outcome(twice, Context("u", plan="pro")).exposure
    assert told is not None
    assert (told.stage, told.reach_ppm) == ("first", 500_000)


def test_an_audience_that_is_unknown_holds_nobody() -> None:
    """An audience needs true."""
    state = rollout(reach(1_000_000, PRO))
    assert outcome(state, Context("u")) == outcome(state, Context("u", plan=5)) == out()
    assert outcome(state, Context("u", plan="pro")) == exposed("canary", Arm.CANDIDATE, 1_000_000)


def test_never_that_is_unknown_keeps_out() -> None:
    """Silence exposes nobody; and who is kept out is in no arm."""
    state = rollout(reach(1_000_000), never=(leaf("regulated", "equals", operand=True),))
    assert outcome(state, Context("u", regulated=True)) == outcome(state, Context("u")) == out()
    assert outcome(state, Context("u", regulated=False)) == exposed("canary", Arm.CANDIDATE, 1_000_000)


@pytest.mark.parametrize("reaches", [(), (reach(0),), (reach(1_000_000),), (reach(1, PRO), reach(5))])
def test_no_unit_is_said_in_every_phase(reaches: tuple[Reach, ...]) -> None:
    """Also where nobody is exposed: the reason depends on the context alone."""
    state = rollout(*reaches, unit="tenant")
    for context in (Context(), Context("u", plan="pro"), Context.of({"tenant": ""}), Context.of({"tenant": "\ud800"})):
        assert outcome(state, context) == out(Reason.NO_UNIT)
    assert outcome(state, Context.of({"tenant": "t"}, {"plan": "free"})).reason is Reason.ROLLOUT


def test_a_share_of_nothing_reaches_nobody() -> None:
    """Such a unit is no control: it could not have been exposed."""
    assert outcome(rollout(reach(0)), Context("u")) == out()
    assert outcome(rollout(reach(0), reach(0, PRO)), Context("u", plan="pro")) == out()


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("law", rollout(reach(1), law=2)),
        ("salt", rollout(reach(1), salt="short")),
        ("salt", rollout(reach(1), salt="é" * 16)),
        ("stage 'canary' has a share of 1000001", rollout(reach(1_000_001))),
        ("share of -1", rollout(reach(-1))),
        ("stage 'canary': country resembles", rollout(reach(1, bad_leaf()))),
        ("resembles", rollout(reach(1), never=(bad_leaf(),))),
        ("cohort 'c'", rollout(reach(1, in_cohort()))),
        ("stages", rollout(*(reach(1) for _ in range(limits.STAGES_PER_PIPELINE * 2 + 1)))),
        ("never", rollout(reach(1), never=(PRO,) * (limits.NEVER_PER_FLAG * 2 + 1))),
    ],
)
def test_what_no_reader_takes(what: str, state: RolloutState) -> None:
    """Refused by name; and once it exposes nobody, taken all the same."""
    with pytest.raises(Uncompilable, match=what):
        compile_stages(state, {})
    nobody = replace(state, reaches=())
    assert compile_stages(nobody, {}) == (nobody, (), ())


def test_a_rollout_fits_the_flag_that_it_moves() -> None:
    """Both variants must be there; one that exposes nobody fits every flag."""
    assert misfit(FLAG, rollout(reach(1))) == ""
    bad = {
        "moves flag 'g'": rollout(reach(1), flag="g"),
        "'gone'": rollout(reach(1), from_variant="gone"),
        "'away'": rollout(reach(1), to_variant="away"),
    }
    for fault, state in bad.items():
        assert fault in misfit(FLAG, state)
        assert misfit(FLAG, replace(state, reaches=())) == ""


def test_who_is_not_exposed_gets_from_or_else_off() -> None:
    """A rollback must have something to serve."""
    assert unexposed_variant(FLAG, rollout(from_variant="on")) == "on"
    assert unexposed_variant(FLAG, rollout(from_variant="gone")) == "off"
    assert outcome(rollout(from_variant="gone"), Context("u")) == out()


def test_stages_after_one_for_everybody_are_not_asked() -> None:
    """A smaller share cannot matter any more; its audience may cost what it likes."""
    asked: list[Condition] = []

    def cohort(_: Context) -> bool:
        asked.append(PRO)
        return True

    state = rollout(reach(5, in_cohort()), reach(10), reach(20, in_cohort()))
    assert outcome(state, Context("u"), {"c": cohort}).exposure == NOBODY._replace(
        stage="canary", arm=Arm.CONTROL, reach_ppm=20
    )
    assert len(asked) == 1
    stages = compile_stages(state, {"c": cohort})
    assert [stage.reach.share_ppm for stage in stages.by_share] == [20, 10]
