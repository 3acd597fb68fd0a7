"""The controller: windows in, one entry out; and what it does where nothing comes in."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.app.run_rollouts import ENGINE
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.resources import Resource, RolloutStatus
from rollout_server.domain.telemetry import RunId
from tests.rollout_room import CHECKOUT, MINUTE_MS, STAGES, Room, documents, guarded, room
from tests.small_environment import document, put

GUARDED: dict[str, Any] = {"guardrails": guarded(), "on_blind": {"hold": "30s", "then": "rollback"}}
HEALTHY: list[dict[str, Any]] = [
    {"name": "canary", "share": "20%", "soak": "5s", "exit": {"guardrails": "healthy"}},
    {"name": "half", "share": "50%", "soak": "5s"},
]
FINE = {"candidate": (100, 2), "control": (400, 8)}
WORSE = {"candidate": (100, 20), "control": (400, 8)}
OUTAGE = {"candidate": (100, 40), "control": (400, 160)}


def status_of(stand: Room) -> RolloutStatus:
    status = stand.rollout().status
    assert isinstance(status, RolloutStatus)
    return status


async def test_stages_pass_by_themselves() -> None:
    """Without guardrails a run soaks, goes on and completes, an entry for each stage and none for a tick."""
    async with room() as stand:
        await stand.start()
        run = await stand.tick(30)
        assert run.phase is Phase.COMPLETED
        assert await stand.actions() == ["put", "start", "advance", "complete"]
        assert stand.environment.ruleset.rollouts["launch"].reaches[-1].share_ppm == 1_000_000


async def test_a_healthy_exit_waits_for_the_statistics() -> None:
    """Soak alone does not leave the stage; evidence does."""
    async with room(*documents(*HEALTHY, pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        assert (await stand.live(8, candidate=(2, 0), control=(8, 0))).stage_name == "canary"
        assert (await stand.live(60, candidate=(100, 10), control=(400, 40))).stage_name != "canary"


async def test_a_regression_rolls_back_with_its_figures() -> None:
    """One entry by the engine: everyone to `from`, the verdict in the status and in the sentence."""
    async with room(*documents(pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        run = await stand.live(20, **WORSE)
        assert run.phase is Phase.ROLLED_BACK
        assert stand.environment.ruleset.rollouts["launch"].reaches == ()
        newest = (await stand.environment.journal.history(None, 0, 1))[0]
        assert (newest.actor, newest.action) == (ENGINE, "rollback")
        assert "errors" in newest.reason
        assert "past its limit +20.0 %" in newest.reason
        verdict = dict(status_of(stand).verdicts)["errors"]
        assert verdict.estimate is not None
        assert verdict.estimate > 2
        assert newest.reason.endswith(verdict.sentence)


async def test_a_shared_outage_is_not_blamed() -> None:
    """Both arms fail alike: nothing is rolled back, and the run goes on when it is over."""
    async with room(*documents(*HEALTHY, pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        await stand.live(3, **FINE)
        assert (await stand.live(20, **OUTAGE)).phase in {Phase.RUNNING, Phase.HELD}


async def test_silence_holds_and_then_rolls_back() -> None:
    """A process that should report and does not: held at once, rolled back after `on_blind.hold`; never an advance."""
    async with room(*documents(pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        run = await stand.tick(5)
        assert run.phase is Phase.HELD
        assert run.held is not None
        assert "no instance has reported" in run.held.sentence
        run = await stand.tick(40)
        assert run.phase is Phase.ROLLED_BACK
        assert "advance" not in await stand.actions()


async def test_a_quiet_night_is_no_blindness() -> None:
    """Processes that report nothing but that they live hold nothing; without evidence nothing is healthy either."""
    async with room(*documents(*HEALTHY, pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        run = await stand.live(60)
        assert (run.phase, run.stage_name) == (Phase.RUNNING, "canary")


async def test_a_store_that_is_away_is_blindness() -> None:
    """Nothing can be seen, so nothing advances; when it is back, evidence goes on where it was kept."""
    async with room(*documents(*HEALTHY, pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        await stand.live(5, **FINE)
        before = stand.runs.memories[RunId("launch", 1)].evidence.cases["errors"].state
        stand.store.is_away = True
        run = await stand.tick(10)
        assert run.phase is Phase.HELD
        stand.controller()
        await stand.tick(3)
        stand.store.is_away = False
        await stand.live(2, **FINE)
        after = stand.runs.memories[RunId("launch", 1)].evidence.cases["errors"].state
        assert after.candidate_n > before.candidate_n
        assert stand.run().phase is Phase.RUNNING


async def test_soak_survives_a_restart_and_is_not_repeated() -> None:
    """A fresh controller goes on with the soak that was kept, and enters each stage once."""
    async with room() as stand:
        await stand.start()
        for _ in range(10):
            stand.controller()
            await stand.tick(3)
        assert await stand.actions() == ["put", "start", "advance", "complete"]


async def test_a_clock_that_jumps_skips_no_soak() -> None:
    """A day forward is three ticks at most; a day back is nothing."""
    async with room() as stand:
        await stand.start()
        await stand.tick(2)
        stand.clock.step(86_400_000)
        assert (await stand.tick()).stage_name == "canary"
        stand.clock.step(-2 * 86_400_000)
        assert (await stand.tick(2)).stage_name == "canary"
        assert (await stand.tick(40)).phase is Phase.COMPLETED


async def test_whoever_does_not_hold_the_lease_does_nothing() -> None:
    """Another server drives; this one forgets what it knew."""
    async with room() as stand:
        await stand.start()
        await stand.tick(3)
        stand.fence = None
        await stand.tick(60)
        assert stand.run().stage_name == "canary"
        assert stand.runs.memories == {}


async def test_an_older_lease_writes_no_evidence() -> None:
    """A controller that was away too long finds a later fence, and steps nothing."""
    async with room() as stand:
        await stand.start()
        stand.fence = 2
        await stand.tick(2)
        stand.fence = 1
        await stand.tick(60)
        assert stand.run().stage_name == "canary"


async def test_a_scheduled_start_opens_one_run() -> None:
    """At its moment, once; a rollback afterwards is not undone by the schedule."""
    start = "2027-01-15T08:10:00Z"  # ten minutes after the clock's start
    async with room(*documents(start=start)) as stand:
        await stand.runs.tick()
        assert (await stand.actions()) == ["put"]
        stand.clock.advance(11 * MINUTE_MS)
        await stand.runs.tick()
        assert stand.run().phase is Phase.RUNNING
        assert stand.run().started is not None
        await stand.tick(60)
        assert (await stand.actions()).count("start") == 1


async def test_starts_that_a_freeze_held_come_one_by_one() -> None:
    """In the order in which they were due, the stagger apart, and behind those that were under way."""
    freeze = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T08:01:00Z", "tags": ["web"], "stagger": "20s"}
    due = {"first": "2027-01-15T08:00:20Z", "second": "2027-01-15T08:00:40Z"}
    held = [
        one
        for key, start in due.items()
        for one in (
            document("Flag", key, {"rules": [{"id": "launch", "rollout": key}]}, tags=["web"]),
            document("Rollout", key, {"flag": key, "from": "off", "to": "on", "pipeline": "quick", "start": start}),
        )
    ]
    async with room(*documents({"name": "canary", "share": "20%", "soak": "1h"}), *held) as stand:
        await stand.start()
        await put(stand.environment, document("Freeze", "now", freeze))
        began_ms = stand.clock.now_ms()
        started: dict[str, int] = {}
        while len(started) < len(due):
            await stand.tick()
            for key in due.keys() - started:
                status = stand.rollout(key).status
                if isinstance(status, RolloutStatus) and status.run is not None and status.run.started is not None:
                    started[key] = (status.run.started.at_ms - began_ms) // 1_000
        assert started == {"first": 80, "second": 100}


async def test_a_frozen_run_stands_and_goes_on_after_the_thaw() -> None:
    """Soak goes on, growth waits."""
    freeze = document("Freeze", "now", {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T08:01:00Z", "tags": ["web"]})
    async with room() as stand:
        await stand.start()
        await put(stand.environment, freeze)
        run = await stand.tick(50)
        assert run.stage_name == "canary"
        assert run.is_frozen
        assert (await stand.tick(30)).phase is Phase.COMPLETED


async def test_an_escalation_is_called_so_and_nothing_else_is() -> None:
    """A freeze that begins while somebody is waited for calls nobody; the second step of the escalation does."""
    freeze = document("Freeze", "now", {"from": "2027-01-01T00:00:00Z", "to": "2028-01-15T08:01:00Z", "tags": ["web"]})
    gated = {**STAGES[0], "soak": "2s", "exit": {"approval": {"from": "managers", "count": 1}}}
    calls = [{"after": "0s", "notify": "team"}, {"after": "30s", "notify": "team"}]
    channel = document("Channel", "team", {"command": ["true"]})
    async with room(channel, *documents(gated, STAGES[1], pipeline={"escalation": calls})) as stand:
        await stand.start()
        assert (await stand.tick(5)).phase is Phase.AWAITING_APPROVAL
        await put(stand.environment, freeze)
        await stand.tick(5)
        assert (await stand.actions())[-3:] == ["await approval", "put", "note"]
        await stand.tick(30)
        assert (await stand.actions())[-1] == "escalate"


async def test_an_edit_below_a_run_opens_an_allocation_at_the_next_tick() -> None:
    """Whoever wrote past the verbs (another server of an older release) is noticed all the same."""
    async with room() as stand:
        await stand.start()
        before = (await stand.tick()).allocation
        await put(stand.environment, document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}))
        assert CHECKOUT in stand.environment.state.resources
        edited = document(
            "Flag",
            "checkout",
            {
                "rules": [
                    {"id": "vip", "when": {"unit": "user", "equals": "u"}, "serve": "on"},
                    {"id": "launch", "rollout": "launch"},
                ]
            },
        )
        await put(stand.environment, edited)
        assert (await stand.tick()).allocation == before + 1


async def test_a_bug_in_one_run_leaves_the_others_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged and counted; every other rollout is looked after."""
    second = [
        document("Flag", "cart", {"rules": [{"id": "launch", "rollout": "cart-launch"}]}),
        document("Rollout", "cart-launch", {"flag": "cart", "from": "off", "to": "on", "pipeline": "quick"}),
    ]
    async with room(*documents(), *second) as stand:
        await stand.start("launch")
        await stand.start("cart-launch")
        guard = stand.runs._guard

        async def failing(rollout: Resource, run: Run) -> None:
            if rollout.metadata.key == "cart-launch":
                raise ZeroDivisionError
            await guard(rollout, run)

        monkeypatch.setattr(stand.runs, "_guard", failing)
        await stand.tick(40)
        assert stand.run("launch").phase is Phase.COMPLETED
        assert stand.run("cart-launch").stage_name == "canary"
        assert (stand.runs.ticks.failures, stand.runs.ticks.took.count) == (40, 40)


async def test_what_ticks_learned_is_known_to_other_servers() -> None:
    """A server that does not drive reads it from the store; where that is away, it says nothing of evidence."""
    async with room(*documents(pipeline=GUARDED)) as stand:
        stand.connect()
        await stand.start()
        run = await stand.live(5, **FINE)
        stand.controller()
        known = await stand.runs.known(run)
        assert known.evidence.ratio.candidate_units > 0
        assert known.verdicts
        stand.store.is_away = True
        assert (await stand.runs.known(run)).verdicts == ()
