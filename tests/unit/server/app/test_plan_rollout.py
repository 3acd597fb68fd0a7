"""Plans of rollouts over a real environment, and its real controller doing what they say."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Arm, Origin
from rollout_server.app.plan_rollout import PlanRolloutQuestion, open_rollout_plan, recent_traffic
from rollout_server.domain.machine import Phase
from rollout_server.domain.rollout_plan import RolloutPlan
from rollout_server.errors import InvalidInput, NotFound
from tests.rollout_room import TICK_MS, Room, documents, guarded, room
from tests.small_environment import document

USERS = [f"u-{at}" for at in range(300)]
POPULATION = [json.dumps({"units": {"user": key}}) for key in USERS]
STAGES = (
    {"name": "pilots", "audience": {"unit": "user", "in": USERS[:5]}, "share": "100%", "soak": "40s"},
    {"name": "ramp", "share": "60%", "ramp": "30s", "soak": "5s"},
)


async def planned(stand: Room, target: str = "launch", *population: str, synthetic: int = 0) -> RolloutPlan:
    question = PlanRolloutQuestion(target, synthetic)
    session = await open_rollout_plan(stand.environment, stand.ingest, stand.runs.known, question, TICK_MS)
    session.feed(population[:100])
    session.feed(population[100:])
    return session.finish()


def exposed(stand: Room) -> int:
    """As SDKs of this moment decide."""
    decider = compile_ruleset(stand.environment.ruleset).bind(Origin())
    return sum(decider.decide("checkout", Context(key)).arm is Arm.CANDIDATE for key in USERS)


@pytest.mark.parametrize("is_under_way", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
async def test_the_controller_does_what_was_planned(*, is_under_way: bool, is_frozen: bool) -> None:
    """Entry times, ramp steps, shares and the number of exposed users, over the journal and with every tick."""
    freeze = document("Freeze", "soon", {"from": "2027-01-15T08:00:21Z", "to": "2027-01-15T08:01:07.5Z"})
    async with room(*documents(*STAGES), *([freeze] if is_frozen else [])) as stand:
        if is_under_way:
            await stand.start()
            await stand.tick(25)
        plan = await planned(stand, "checkout", *POPULATION)
        assert plan.counted is not None
        wanted = {step.at_ms: (stage.name, step.share_ppm) for stage in plan.stages for step in stage.steps}
        by_moment = dict(zip(wanted, plan.counted.by_arrival[-len(wanted) :], strict=True))
        if not is_under_way:
            await stand.start()
            assert exposed(stand) == by_moment[stand.clock.now_ms()]
        seen = {} if is_under_way else {stand.clock.now_ms(): ("pilots", 1_000_000)}
        before = stand.run().entered
        while stand.run().phase is not Phase.COMPLETED:
            run = await stand.tick()
            if run.entered != before:
                before = run.entered
                seen[stand.clock.now_ms()] = (run.stage_name, run.entered[-1].share_ppm)
                assert exposed(stand) == by_moment[stand.clock.now_ms()]
        assert seen == wanted
        assert plan.completes_ms == stand.clock.now_ms()


async def test_a_schedule_is_kept_as_planned() -> None:
    """The controller starts at the tick that the plan says."""
    async with room(*documents(start="2027-01-15T08:00:45.5Z")) as stand:
        plan = await planned(stand)
        first = plan.stages[0].enters_ms
        assert first is not None
        while stand.clock.now_ms() < first:
            assert stand.environment.ruleset.rollouts["launch"].reaches == ()
            stand.clock.advance(TICK_MS)
            await stand.runs.tick()
        assert stand.run().started is not None
        assert (await planned(stand)).stages[0].is_entered


async def test_a_synthetic_population_stands_for_shares() -> None:
    """Without a population, contexts are made from what flag and stages ask; without those, nobody is counted."""
    async with room(*documents(*STAGES)) as stand:
        plan = await planned(stand, synthetic=500)
        assert plan.is_synthetic
        assert plan.counted is not None
        assert plan.counted.contexts == 500
        assert plan.stages[0].entrants is not None
        assert plan.stages[0].entrants.exposed == 5
        assert (await planned(stand)).counted is None


async def test_bad_contexts_and_unknown_rollouts_are_refused() -> None:
    """By number, and with what was meant."""
    async with room(*documents()) as stand:
        with pytest.raises(InvalidInput) as refused:
            await planned(stand, "launch", *POPULATION[:3], "{")
        assert [one.path for one in refused.value.problems] == ["population[4]"]
        with pytest.raises(NotFound) as missing:
            await planned(stand, "lunch")
        assert "launch" in missing.value.hint


async def test_recent_traffic_is_what_was_reported_last() -> None:
    """Both arms of the run that saw most; nothing where nothing came in."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        assert await recent_traffic(stand.environment.state.resources, stand.ingest) is None
        stand.connect()
        await stand.start()
        await stand.live(10, candidate=(20, 1), control=(80, 4))
        traffic = await recent_traffic(stand.environment.state.resources, stand.ingest)
        assert traffic is not None
        assert traffic.sums["errors"].x / traffic.sums["errors"].n == pytest.approx(0.05)
        assert traffic.units == traffic.sums["errors"].n
        pace = (await planned(stand)).stages[1].paces[0]
        assert pace.unknown == ""
        assert pace.caught_ms is not None
