"""The plan of a rollout as release managers read it: times, needs, counts and warnings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.context import Context
from rollout_server.domain.calendar import parse_moment_ms
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.journal import Change, State
from rollout_server.domain.machine import Event, Judged, Pause, Phase, Run, Start, Tick, step
from rollout_server.domain.resources import Kind, RolloutStatus
from rollout_server.domain.rollout_pace import Traffic
from rollout_server.domain.rollout_plan import RolloutPlan, RolloutPlanning, StagePlan, audience_words, prospective
from rollout_server.errors import NotFound
from tests.planned_rollouts import NOW_MS, TICK_MS, ground, planned, users
from tests.random_rollouts import HOUR_MS
from tests.small_rollouts import FLAG, GUARDED, STATE, id_of, pipeline, rollout
from tests.small_state import applied, committed, document, killed

MINUTE_MS = 60_000
APPROVED = {"guardrails": "healthy", "approval": {"from": "managers", "count": 2}}
CAREFUL = pipeline(
    {"name": "staff", "audience": {"cohort": "staff"}, "share": "100%", "soak": "30m", "exit": {"exposed": 3}},
    {"name": "canary", "share": "1%", "soak": "1h", "exit": APPROVED},
    {"name": "half", "share": "50%", "ramp": "2h", "soak": "4h"},
    guardrails=[*GUARDED, {"metric": "conversion", "limit": {"absolute": 0.1}}],
    finish={"share": "95%", "watch": "1d"},
)
STAGED = applied(STATE, CAREFUL)
CALM = (Judged("process_lost", Standing.HEALTHY),)


def stage(plan: RolloutPlan, name: str) -> StagePlan:
    return next(one for one in plan.stages if one.name == name)


def under_way(state: State, *events: Event) -> State:
    """The state in which the rollout's run has met these events."""
    resource = state.resources[id_of(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    run: Run = prospective(resource, state.resources)
    for event in events:
        run, _ = step(run, event)
    return committed(state, Change(resource.id, replace(resource, status=replace(resource.status, run=run))))


def test_what_a_plan_says_of_each_stage() -> None:
    """When, whom, how many of them, how long, and what it takes."""
    plan = planned(STAGED)
    assert (plan.run, plan.phase, plan.flag, plan.from_variant, plan.to_variant, plan.unit) == (
        1,
        Phase.SCHEDULED,
        "checkout",
        "off",
        "on",
        "user",
    )
    assert [(one.name, one.audience, one.share_ppm, one.soak_ms // MINUTE_MS) for one in plan.stages] == [
        ("staff", "cohort staff", 1_000_000, 30),
        ("canary", "everyone", 10_000, 60),
        ("half", "everyone", 500_000, 240),
        ("finish", "everyone", 950_000, 1440),
    ]
    assert [one.needs for one in plan.stages] == [
        ("`rollout start`",),
        ("3 exposed units",),
        ("healthy guardrails", "an approval by 2 of managers"),
        (),
    ]
    delays = [(one.enters_ms or 0) - NOW_MS - TICK_MS for one in plan.stages]
    assert delays == [-TICK_MS, 30 * MINUTE_MS, 90 * MINUTE_MS, 450 * MINUTE_MS]
    assert len(stage(plan, "half").steps) == 20
    assert plan.completes_ms == (stage(plan, "finish").enters_ms or 0) + 24 * HOUR_MS
    assert plan.counted is None


def test_a_schedule_and_another_environment() -> None:
    """A scheduled start is waited for; what must complete elsewhere first is a condition, not a time."""
    state = applied(STAGED, rollout(start="2026-11-21T09:00:00+09:00", after={"environment": "staging"}))
    first = planned(state).stages[0]
    assert first.enters_ms == parse_moment_ms("2026-11-21T09:00:00+09:00")
    assert first.waited_for == ("schedule",)
    assert first.needs == ("staging to have completed the same flag's rollout",)


def test_freezes_and_turns_by_the_flags_tags() -> None:
    """Freezes of the flag's tags move stages; the runs of other flags take their turns before."""
    weekend = document(
        "Freeze", "weekends", **{"from": "FRI 16:00", "to": "MON 08:00", "zone": "Asia/Seoul", "tags": ["web"]}
    )
    tagged = replace(FLAG, metadata=replace(FLAG.metadata, tags=("web",)))
    assert stage(planned(applied(STAGED, weekend)), "finish").waited_for == ()
    frozen = stage(planned(applied(STAGED, weekend, tagged)), "finish")
    assert frozen.waited_for == ("thaw",)
    assert (frozen.enters_ms or 0) >= (parse_moment_ms("2026-11-23T08:00:00+09:00") or 0)


def test_who_enters_is_counted_against_what_is_asked_for() -> None:
    """A stage that asks for more exposed units than the population has is warned of; so is one that adds nobody."""
    plan = planned(STAGED, users(1_000))
    staff = stage(plan, "staff")
    assert staff.entrants is not None
    assert (staff.required, staff.entrants.exposed) == (3, 0)
    assert plan.warnings == (
        "staff is left at 3 exposed units, and this population gives 0: it would stay there",
        "staff exposes nobody new of this population",
    )
    whole = planned(STAGED, [*users(1_000), *(Context(f"u-{at}") for at in (1, 2, 3))])
    assert whole.warnings == ()
    made_up = planned(STAGED, users(1_000), is_synthetic=True)
    assert made_up.warnings == ()


def test_a_run_under_way() -> None:
    """Stages that were entered have no entry any more, and the rest are planned from where it stands."""
    plan = planned(under_way(STAGED, Start("ann", NOW_MS - HOUR_MS)))
    assert (plan.run, plan.phase) == (1, Phase.RUNNING)
    assert [one.is_entered for one in plan.stages] == [True, False, False, False]
    assert stage(plan, "staff").enters_ms is None
    assert stage(plan, "staff").steps == ()
    assert (stage(plan, "canary").enters_ms or 0) - NOW_MS == 30 * MINUTE_MS + TICK_MS
    paused = planned(under_way(STAGED, Start("ann", NOW_MS), Pause("ann", NOW_MS)))
    assert paused.warnings == ("it is paused: every time counts from `rollout resume launch`",)


def test_a_completed_run_stands_before_the_next() -> None:
    """The next run can be planned, and the plan says what has to be done before it."""
    spec = pipeline({"name": "all", "share": "100%"})
    ended = under_way(applied(STATE, spec), Start("ann", NOW_MS), *(Tick(NOW_MS + at, 1, CALM) for at in (1, 2)))
    plan = planned(ended)
    assert (plan.run, plan.phase) == (2, Phase.SCHEDULED)
    assert plan.warnings == ("run 1 is completed: `rollout finish launch` it or roll it back before run 2 starts",)


def test_a_killed_flag_is_warned_of() -> None:
    """Nobody is exposed while the flag is killed."""
    (first, *_) = planned(killed(STAGED, "checkout")).warnings
    assert first == "flag/checkout is killed: nobody is exposed until `rollout unkill checkout`"


def test_a_freeze_that_never_thaws_is_warned_of() -> None:
    """A plan that has no end says so."""
    always = document("Freeze", "always", **{"from": "2026-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"})
    plan = planned(applied(STAGED, always), users(10))
    assert plan.completes_ms is None
    assert [one.enters_ms for one in plan.stages] == [None] * 4
    assert plan.warnings == ("it does not complete within 10 years: look for a freeze that never thaws",)


def test_a_verdict_far_beyond_the_soak_is_warned_of() -> None:
    """At recent traffic the canary cannot be healthy within its soak; with plenty of it there is nothing to say."""
    thin = Traffic(MINUTE_MS, 60, 60 * 200.0, {"errors": Cell(60 * 200, 60 * 4.0, 60 * 4.0)})
    plan = planned(STAGED, traffic=thin)
    (warning,) = plan.warnings
    assert warning.startswith("canary soaks 1h, and errors takes about ")
    errors, conversion = stage(plan, "canary").paces
    assert (errors.metric, errors.unknown) == ("errors", "")
    assert conversion.unknown == "no traffic of this metric is known"
    plenty = Traffic(MINUTE_MS, 60, 60 * 1e6, {"errors": Cell(60 * 10**7, 60 * 2e5, 60 * 2e5)})
    assert planned(STAGED, traffic=plenty).warnings == ()
    staff = stage(planned(STAGED, traffic=thin), "staff").paces
    assert staff[0].unknown == "nobody knows how many units the audience holds"
    assert [one.metric for one in stage(plan, "finish").paces] == ["conversion"]


def test_the_population_says_how_large_an_audience_is() -> None:
    """With one, the pace of a stage of some is known too."""
    traffic = Traffic(MINUTE_MS, 60, 60 * 1e6, {"errors": Cell(60 * 10**5, 60 * 2e3, 60 * 2e3)})
    some = pipeline(
        {"name": "some", "audience": {"attribute": "plan", "equals": "pro"}, "share": "50%"}, guardrails=GUARDED
    )
    population = [*users(50, plan="pro"), *users(1_000)[50:]]
    few = stage(planned(applied(STATE, some), population, traffic), "some").paces[0].caught_ms
    everyone = pipeline({"name": "some", "share": "50%"}, guardrails=GUARDED)
    all_ = stage(planned(applied(STATE, everyone), population, traffic), "some").paces[0].caught_ms
    assert few is not None
    assert all_ is not None
    assert few > 5 * all_


def test_what_is_not_there_is_not_planned() -> None:
    """A rollout that does not exist has no plan."""
    with pytest.raises(NotFound, match="'lunch'"):
        RolloutPlanning(ground(STAGED), "lunch")
    resources = {id_: one for id_, one in STAGED.resources.items() if id_.kind is not Kind.PIPELINE}
    with pytest.raises(NotFound, match="pipeline"):
        RolloutPlanning(ground(replace(STAGED, resources=resources)), "launch")


def test_audiences_in_words() -> None:
    """Cohorts by their name, other conditions as such."""
    spec = planned(STAGED)
    assert audience_words(None) == spec.stages[1].audience == "everyone"
    some = pipeline({"name": "some", "audience": {"attribute": "plan", "equals": "pro"}, "share": "50%"})
    assert planned(applied(STATE, some)).stages[0].audience == "a condition"
