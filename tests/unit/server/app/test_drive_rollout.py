"""What people do to a run, as entries of the journal."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_sdk.engine.model import ByRollout, Serve
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.domain.machine import Phase, Trigger
from rollout_server.domain.resources import FlagSpec
from rollout_server.errors import Conflict, Forbidden, InvalidInput, Refused
from tests.rollout_room import CHECKOUT, KAI, MIA, Room, documents, room
from tests.small_environment import document

GATED: list[dict[str, Any]] = [
    {"name": "canary", "share": "20%", "soak": "2s", "exit": {"approval": {"from": "managers", "count": 2}}},
    {"name": "half", "share": "50%", "soak": "2s"},
]
WHY = Intent(reason="looks good")


async def do(stand: Room, verb: Verb, who: Any = MIA, **more: Any) -> Any:
    return await drive(stand.environment, Drive(verb, "checkout", **more), who, stand.runs.known)


async def test_a_pause_keeps_the_soak_of_ticks() -> None:
    """What ticks added up since the last entry is not lost by a verb."""
    async with room() as stand:
        await stand.start()
        await stand.tick(6)
        await do(stand, Verb.PAUSE)
        await stand.tick(20)
        assert stand.run().phase is Phase.PAUSED
        await do(stand, Verb.RESUME, expects="canary")
        run = await stand.tick(7)
        assert run.stage_name == "half"


async def test_a_scheduled_start_is_cancelled_before_it_begins() -> None:
    """For that moment; the run that never was has a number and a reason, and another moment opens the next."""
    async with room(*documents(start="2099-01-01T00:00:00Z")) as stand:
        with pytest.raises(Refused) as refusal:
            await do(stand, Verb.ROLLBACK)
        assert "rollout cancel launch" in refusal.value.hint
        done = await do(stand, Verb.CANCEL, intent=WHY)
        assert done.entry.action == "cancel"
        run = stand.run()
        assert run.end is not None
        assert (run.number, run.phase, run.end.who, run.end.why) == (1, Phase.CANCELLED, "mia", "looks good")
        assert (await do(stand, Verb.CANCEL)).entry is None
        stand.clock.step(80 * 366 * 86_400_000)
        assert (await stand.tick(3)).phase is Phase.CANCELLED
        await stand.start()
        assert (stand.run().number, stand.run().phase) == (2, Phase.RUNNING)
        with pytest.raises(Refused, match="cancel"):
            await do(stand, Verb.CANCEL)


async def test_what_was_never_scheduled_is_not_cancelled() -> None:
    """There is no run to open."""
    async with room() as stand:
        with pytest.raises(Refused, match="never started"):
            await do(stand, Verb.CANCEL)


async def test_rollback_takes_everybody_back_and_repeats_as_nothing() -> None:
    """One entry; the second call finds it done."""
    async with room() as stand:
        await stand.start()
        done = await do(stand, Verb.ROLLBACK)
        assert done.entry.action == "rollback"
        assert stand.environment.ruleset.rollouts["launch"].reaches == ()
        again = await do(stand, Verb.ROLLBACK)
        assert again.entry is None
        assert again.position == done.position


async def test_rollback_asks_no_store() -> None:
    """Whatever is away: the journal alone decides."""
    async with room() as stand:
        await stand.start()
        stand.store.is_away = True
        await do(stand, Verb.ROLLBACK)
        assert stand.run().phase is Phase.ROLLED_BACK


async def test_what_was_never_started_cannot_be_driven() -> None:
    """The hint says what can be done; that no stage was named is not what is wrong."""
    async with room() as stand:
        for verb in (Verb.ROLLBACK, Verb.PROMOTE):
            with pytest.raises(Refused, match="never started"):
                await do(stand, verb, expects="")


async def test_a_verb_names_the_stage_it_means() -> None:
    """None is refused as input, another one as a conflict, one to go to that is none by the machine."""
    async with room() as stand:
        await stand.start()
        with pytest.raises(InvalidInput):
            await do(stand, Verb.PROMOTE, intent=WHY)
        with pytest.raises(Conflict) as conflict:
            await do(stand, Verb.PROMOTE, expects="half", intent=WHY)
        assert (conflict.value.expected, conflict.value.actual) == ("stage half", "stage canary")
        with pytest.raises(Refused) as refusal:
            await do(stand, Verb.PROMOTE, expects="canary", to="nowhere", intent=WHY)
        assert refusal.value.rule == "stage"
        await do(stand, Verb.PROMOTE, expects="canary", intent=WHY)
        assert stand.run().stage_name == "half"


async def test_approval_is_of_different_people_of_the_group() -> None:
    """A stranger is refused; one person counts once; a rejection needs a reason and pauses."""
    stranger = type(MIA)("zoe", "z", MIA.role)
    async with room(*documents(*GATED)) as stand:
        await stand.start()
        await stand.tick(4)
        assert stand.run().phase is Phase.AWAITING_APPROVAL
        with pytest.raises(Forbidden, match="zoe is not in managers"):
            await do(stand, Verb.APPROVE, stranger, expects="canary")
        await do(stand, Verb.APPROVE, MIA, expects="canary")
        with pytest.raises(Refused, match="already"):
            await do(stand, Verb.APPROVE, MIA, expects="canary")
        with pytest.raises(InvalidInput):
            await do(stand, Verb.REJECT, KAI, expects="canary")
        await do(stand, Verb.APPROVE, KAI, expects="canary")
        assert (await stand.tick(2)).stage_name == "half"


async def test_finish_writes_the_variant_and_a_rollback_takes_it_back() -> None:
    """The rule serves `to` in the entry of finish, and `from` in that of a later rollback."""
    async with room() as stand:
        await stand.start()
        await stand.tick(40)
        await do(stand, Verb.FINISH, expects="finish")
        assert outcomes(stand) == [("launch", Serve("on"))]
        assert stand.run().is_finished
        await do(stand, Verb.ROLLBACK)
        assert outcomes(stand) == [("launch", Serve("off"))]


async def test_finish_keeps_whom_the_rollout_never_exposes() -> None:
    """Its `never` lives on as a rule."""
    async with room(*documents(never=[{"attribute": "plan", "equals": "bank"}])) as stand:
        await stand.start()
        await stand.tick(40)
        await do(stand, Verb.FINISH, expects="finish")
        assert outcomes(stand) == [("launch", Serve("on")), ("launch-never", Serve("off"))]
        await do(stand, Verb.ROLLBACK)
        assert outcomes(stand) == [("launch", Serve("off")), ("launch-never", Serve("off"))]


async def test_a_kill_ends_the_run_in_its_own_entry() -> None:
    """Lifting it resumes nothing."""
    async with room() as stand:
        await stand.start()
        done = await kill(stand.environment, Kill("checkout"), MIA)
        assert done.entry is not None
        assert {change.id for change in done.entry.changes} == {CHECKOUT, stand.rollout().id}
        run = stand.run()
        assert run.phase is Phase.ROLLED_BACK
        assert run.end is not None
        assert run.end.trigger is Trigger.KILL
        await unkill(stand.environment, Unkill("checkout"), MIA)
        await stand.tick(40)
        assert stand.environment.ruleset.rollouts["launch"].reaches == ()


async def test_ack_stops_the_escalation() -> None:
    """Whoever needs nobody says so."""
    team = document("Channel", "team", {"command": ["true"]})
    steps = {"escalation": [{"after": "0m", "notify": "team"}, {"after": "1m", "notify": "team"}]}
    async with room(*documents(*GATED, pipeline=steps), team) as stand:
        await stand.start()
        with pytest.raises(Refused, match="needs nobody"):
            await do(stand, Verb.ACK)
        await stand.tick(5)
        need = stand.run().need
        assert need is not None
        await do(stand, Verb.ACK)
        count = stand.run().notice_count
        await stand.tick(120)
        assert stand.run().notice_count == count


def outcomes(stand: Room) -> list[tuple[str, object]]:
    resource = stand.environment.resource(CHECKOUT)
    assert resource is not None
    assert isinstance(resource.spec, FlagSpec)
    assert not any(isinstance(rule.outcome, ByRollout) for rule in resource.spec.rules)
    return [(rule.id, rule.outcome) for rule in resource.spec.rules]
