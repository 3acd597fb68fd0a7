"""Rollouts, and the flags that leave an answer to them."""

from dataclasses import replace
from typing import Any as Anything

import pytest

from rollout_server.domain.journal import Change, State
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, Stage
from tests.small_rollouts import STATE, id_of, pipeline, places, rollout, wrong
from tests.small_state import applied, committed, flag_document

LAUNCH = {"id": "launch", "rollout": "launch"}


def with_run(phase: Phase, state: State = STATE) -> State:
    """The state while a run of `launch` is in this phase."""
    resource = state.resources[id_of(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    run = Run("launch", "checkout", "off", "on", 1, PipelineSpec((Stage("canary", 10_000),)), phase=phase)
    return committed(state, Change(resource.id, replace(resource, status=replace(resource.status, run=run))))


def test_a_rollout_that_fits_its_flag_is_good() -> None:
    """With everything that a rollout can say."""
    assert places(rollout(start="2026-12-01T09:00:00+09:00", after={"environment": "staging"}, never=["staff"])) == []


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"flag": "check-out"}, "spec.flag", "unknown_flag"),
        ({"from": "of"}, "spec.from", "unknown_variant"),
        ({"to": "onn"}, "spec.to", "unknown_variant"),
        ({"to": "off"}, "spec.to", "from_is_to"),
        ({"pipeline": "carefull"}, "spec.pipeline", "unknown_pipeline"),
        ({"never": ["stuff"]}, "spec.never[0].cohort", "unknown_cohort"),
        ({"start": "2026-12-01T09:00:00"}, "spec.start", "no_zone"),
        ({"start": "2026-13-01T09:00:00Z"}, "spec.start", "bad_moment"),
        ({"start": "tomorrow"}, "spec.start", "bad_moment"),
    ],
)
def test_a_rollout_that_could_not_move_its_flag_is_refused(spec: dict[str, Anything], place: str, code: str) -> None:
    """Names, variants, moments; what its absence means for the flag is said there too."""
    assert (place, code) in [(path, found) for who, path, found in wrong(rollout(**spec)) if who == "rollout/launch"]


def test_an_environment_to_wait_for_exists_on_this_server() -> None:
    """Else it could never start; what stands is left alone, as is everything where nobody knows the environments."""
    mistyped = rollout(after={"environment": "stagin"})

    def told(*environments: str, state: State = STATE) -> list[tuple[str, str, str]]:
        found = plan(state, Wish((mistyped, flag_document("new")), environments=environments)).problems
        return [(one.path, one.message, one.hint) for one in found]

    place, message = "spec.after.environment", 'there is no environment "stagin" on this server to wait for'
    assert told("production", "staging") == [(place, message, 'did you mean "staging"?')]
    assert told("tests") == [(place, message, "this server has: tests; or take `after` out here")]
    assert told() == told("stagin") == []
    assert told("production", state=applied(STATE, mistyped)) == []


def test_flag_and_rollout_name_each_other() -> None:
    """A rule that names nothing, a rollout that no rule names, and one of another flag."""
    assert wrong(flag_document("checkout", {"id": "a", "rollout": "lunch"})) == [
        ("flag/checkout", "spec.rules[0].rollout", "unknown_rollout"),
        ("rollout/launch", "spec.flag", "no_rule"),
    ]
    assert wrong(flag_document("other", LAUNCH)) == [("flag/other", "spec.rules[0].rollout", "rollout_of_another_flag")]
    assert wrong(rollout("second")) == [("rollout/second", "spec.flag", "no_rule")]


def test_a_completed_rollout_may_outlive_its_rule() -> None:
    """Its flag has the final variant and no rule any more; a run under way needs the rule."""
    without = flag_document("checkout", default="on")
    assert wrong(without, state=with_run(Phase.COMPLETED)) == []
    assert wrong(without, state=with_run(Phase.RUNNING)) == [("rollout/launch", "spec.flag", "no_rule")]


def test_nothing_answers_everybody_before_a_rollout() -> None:
    """Neither a serve nor another rollout: nobody would ever be exposed."""
    beta = {"attribute": "plan", "equals": "beta"}
    second = {"id": "second", "rollout": "second"}
    assert places(flag_document("checkout", {"id": "all", "serve": "on"}, LAUNCH)) == [
        ("spec.rules[1].rollout", "unreachable_rule")
    ]
    assert places(flag_document("checkout", LAUNCH, second), rollout("second")) == [
        ("spec.rules[1].rollout", "unreachable_rule")
    ]
    assert places(flag_document("checkout", {**LAUNCH, "when": beta}, second), rollout("second")) == []


def test_what_a_run_moves_stands_still_below_it() -> None:
    """Flag and variants change when it is over, not before."""
    blue = {"variants": {"on": True, "off": False, "blue": True}}
    flag = flag_document("checkout", LAUNCH, **blue)
    for phase in (Phase.SCHEDULED, Phase.RUNNING, Phase.PAUSED):
        assert places(flag, rollout(to="blue"), state=with_run(phase)) == [("spec.to", "under_way")]
    for phase in (Phase.ROLLED_BACK, Phase.CANCELLED, Phase.COMPLETED):
        assert places(flag, rollout(to="blue"), state=with_run(phase)) == []
    assert places(rollout(pipeline="careful", never=["staff"]), state=with_run(Phase.RUNNING)) == []


def test_an_audience_that_can_never_be_large_enough_is_found_with_the_flags_own_unit() -> None:
    """Counted by the rollout's salt: of three listed users, only those inside the share can be exposed."""

    def asked(exposed: int, share: str) -> list[tuple[str, str, str]]:
        stage = {"name": "a", "audience": {"cohort": "staff"}, "share": share, "exit": {"exposed": exposed}}
        return wrong(pipeline(stage))

    assert asked(3, "100%") == []
    assert asked(4, "100%") == [("rollout/launch", "spec.pipeline", "audience_too_small")]
    assert asked(3, "0.0001%") == [("rollout/launch", "spec.pipeline", "audience_too_small")]
    tenants = flag_document("checkout", LAUNCH, unit="tenant")
    stage = {"name": "a", "audience": {"cohort": "staff"}, "share": "100%", "exit": {"exposed": 4}}
    assert wrong(tenants, pipeline(stage)) == []
