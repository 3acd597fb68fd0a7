"""Two of everything in the same instant: whoever is second decides again on the new ground, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.app.apply import Apply, apply
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.environment import Environment
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.domain.journal import Draft, Entry
from rollout_server.domain.machine import Phase, Run
from rollout_server.errors import Refused
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.journal_judge import JournalJudge
from tests.rollout_room import KAI, MIA, STAGES, TICK_MS, Room, documents, guarded, room
from tests.rough_room import Died, MortalTelemetry
from tests.small_environment import cohort, document, put
from tests.small_server import Person, bearer, world
from tests.small_server import document as wire_document

OF_TWO = {"approval": {"from": "managers", "count": 2}}
STAFF = {"name": "staff", "audience": {"cohort": "staff"}, "share": "100%", "soak": "1h"}


class Crossed(MemoryJournal):
    """A journal into which somebody else writes between a decision and its commit."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def commit(self, draft: Draft) -> Entry:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().commit(draft)


@asynccontextmanager
async def crossing(*given: Any) -> AsyncIterator[tuple[Room, Crossed]]:
    """A room whose journal is judged by the laws at the end."""
    clock = FakeClock()
    journal = Crossed(clock)
    environment = Environment(journal, clock)
    await environment.start()
    await put(environment, *(given or documents()))
    try:
        yield Room(environment, clock, MemoryTelemetry(window_ms=TICK_MS)), journal
        JournalJudge().follow(await journal.entries(0, 1_000))
    finally:
        await environment.close()
        await journal.close()


def rolls_back(stand: Room) -> Callable[[], Awaitable[object]]:
    return lambda: drive(stand.environment, Drive(Verb.ROLLBACK, "launch"), MIA, stand.runs.known)


def ticks(stand: Room) -> Callable[[], Awaitable[object]]:
    return stand.runs.tick


def exposes(stand: Room) -> bool:
    return bool(stand.environment.ruleset.rollouts["launch"].reaches)


async def about_to_advance(stand: Room) -> Run:
    """Let the soak of the first stage pass but for one tick."""
    run = await stand.tick(10)
    assert run.stage_name == "canary"
    stand.clock.advance(TICK_MS)
    return run


async def test_a_rollback_just_before_an_advance_wins() -> None:
    """The engine finds other ground, writes nothing, and has nothing to do from then on."""
    async with crossing() as (stand, journal):
        await stand.start()
        await about_to_advance(stand)
        journal.meanwhile = rolls_back(stand)
        await stand.runs.tick()
        assert stand.run().phase is Phase.ROLLED_BACK
        await stand.tick(5)
        assert await stand.actions() == ["put", "start", "rollback"]
        assert not exposes(stand)


async def test_an_advance_just_before_a_rollback_is_taken_back() -> None:
    """Whoever rolls back hears of no conflict: the verb is decided again, and the next stage goes too."""
    async with crossing() as (stand, journal):
        await stand.start()
        await about_to_advance(stand)
        journal.meanwhile = ticks(stand)
        await rolls_back(stand)()
        assert await stand.actions() == ["put", "start", "advance", "rollback"]
        assert not exposes(stand)


async def test_a_verdict_and_a_rollback_by_hand_are_one_rollback() -> None:
    """The run ends once, by whoever was first; the other finds it ended."""
    async with crossing(*documents(*STAGES, pipeline={"guardrails": guarded()})) as (stand, journal):
        stand.connect()
        await stand.start()
        journal.meanwhile = None
        for _ in range(20):
            await stand.report(candidate=(100, 60), control=(400, 8))
            stand.clock.advance(TICK_MS)
            journal.meanwhile = rolls_back(stand)
            await stand.runs.tick()
            journal.meanwhile = None
        run = stand.run()
        assert run.end is not None
        assert run.end.who == "mia"
        assert (await stand.actions()).count("rollback") == 1
        await rolls_back(stand)()
        assert (await stand.actions()).count("rollback") == 1


async def test_a_verdict_and_a_pause_end_in_a_rollback() -> None:
    """The pause stands for one tick: guardrails stay armed."""
    async with crossing(*documents(*STAGES, pipeline={"guardrails": guarded()})) as (stand, journal):
        stand.connect()
        await stand.start()
        paused = False

        async def pause() -> None:
            nonlocal paused
            paused = True
            await drive(stand.environment, Drive(Verb.PAUSE, "launch"), MIA, stand.runs.known)

        for _ in range(20):
            await stand.report(candidate=(100, 60), control=(400, 8))
            if not paused:
                journal.meanwhile = pause
            await stand.tick()
        assert await stand.actions() == ["put", "start", "pause", "rollback"]


async def test_a_kill_during_a_start_leaves_nothing_to_start() -> None:
    """The start is decided again, and refused: its flag is killed."""
    async with crossing() as (stand, journal):
        journal.meanwhile = lambda: kill(stand.environment, Kill("checkout"), MIA)
        with pytest.raises(Refused, match="killed"):
            await stand.start()
        assert await stand.actions() == ["put", "kill"]


async def test_a_start_during_a_kill_is_ended_by_it() -> None:
    """A kill that was decided before the run was there ends it all the same: lifting it resumes nothing."""
    async with crossing() as (stand, journal):
        journal.meanwhile = stand.start
        await kill(stand.environment, Kill("checkout"), KAI)
        assert stand.run().phase is Phase.ROLLED_BACK
        await unkill(stand.environment, Unkill("checkout"), KAI)
        await stand.tick(3)
        assert not exposes(stand)


async def test_a_kill_and_an_advance_end_in_the_kill() -> None:
    """Both ways round."""
    for kill_first in (True, False):
        async with crossing() as (stand, journal):
            await stand.start()
            await about_to_advance(stand)

            async def killing(stand: Room = stand) -> None:
                await kill(stand.environment, Kill("checkout"), MIA)

            journal.meanwhile = killing if kill_first else ticks(stand)
            await (stand.runs.tick if kill_first else killing)()
            assert stand.run().phase is Phase.ROLLED_BACK
            assert not exposes(stand)


async def test_an_edit_of_a_cohort_during_a_tick_opens_one_allocation_and_advances_nothing() -> None:
    """The engine's step rested on the cohort as it was: it is void, and made again at the next tick."""
    given = (*documents({**STAFF, "soak": "10s"}, STAGES[1]), cohort("staff", "u-1"))
    async with crossing(*given) as (stand, journal):
        await stand.start()
        run = await stand.tick(10)
        stand.clock.advance(TICK_MS)

        async def edit() -> None:
            await apply(stand.environment, Apply((cohort("staff", "u-1", "u-2"),)), MIA, stand.instances)

        journal.meanwhile = edit
        await stand.runs.tick()
        assert (stand.run().stage_name, stand.run().allocation) == ("staff", run.allocation + 1)
        assert (await stand.tick(2)).stage_name == "half"
        assert await stand.actions() == ["put", "start", "apply", "advance"]


async def test_an_advance_during_an_edit_is_not_lost() -> None:
    """The edit is decided again over the next stage; each of both opens its allocation."""
    given = (*documents({**STAFF, "soak": "10s"}, STAGES[1]), cohort("staff", "u-1"))
    async with crossing(*given) as (stand, journal):
        await stand.start()
        run = await stand.tick(10)
        stand.clock.advance(TICK_MS)
        journal.meanwhile = ticks(stand)
        await apply(stand.environment, Apply((cohort("staff", "u-1", "u-2"),)), MIA, stand.instances)
        assert (stand.run().stage_name, stand.run().allocation) == ("half", run.allocation + 2)
        assert await stand.actions() == ["put", "start", "advance", "apply"]


@pytest.mark.parametrize(("second", "approved"), [(KAI, ["kai", "mia"]), (MIA, ["mia"])])
async def test_two_approvals_at_once_count_for_as_many_people_as_gave_them(second: Any, approved: list[str]) -> None:
    """Two people are two, one person twice is one; the stage is left once."""
    async with crossing(*documents({**STAGES[0], "soak": "2s", "exit": OF_TWO}, STAGES[1])) as (stand, journal):
        await stand.start()
        assert (await stand.tick(5)).phase is Phase.AWAITING_APPROVAL

        async def approve(who: Any) -> None:
            await drive(stand.environment, Drive(Verb.APPROVE, "launch", "canary"), who, stand.runs.known)

        journal.meanwhile = lambda: approve(second)
        if second is MIA:
            with pytest.raises(Refused, match="approved canary"):
                await approve(MIA)
        else:
            await approve(MIA)
        assert sorted(one.person for one in stand.run().approvals) == approved
        run = await stand.tick(5)
        assert (run.stage_name == "half") is (len(approved) == 2)
        assert (await stand.actions()).count("advance") == len(approved) - 1


async def test_two_rollouts_of_one_flag_do_not_start_at_once() -> None:
    """The second is decided again, and refused."""
    moves = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick"}
    rules = [{"id": one, "when": {"attribute": "a", "equals": one}, "rollout": one} for one in ("launch", "again")]
    given = (*documents(), document("Rollout", "again", moves), document("Flag", "checkout", {"rules": rules}))
    async with crossing(*{one.key + one.kind: one for one in given}.values()) as (stand, journal):
        journal.meanwhile = lambda: stand.start("again")
        with pytest.raises(Refused, match="being moved by again"):
            await stand.start("launch")


@pytest.mark.parametrize("lives", [0, 1])
async def test_a_controller_that_dies_as_it_advances_neither_repeats_nor_shortens_a_soak(lives: int) -> None:
    """Before the entry the step is made again; after it the checkpoint of the stage before counts for nothing."""
    async with room() as stand:
        mortal = MortalTelemetry(window_ms=TICK_MS)
        stand.ingest.store = stand.store = mortal
        stand.controller()
        await stand.start()
        await stand.tick(10)
        mortal.lives = lives
        with pytest.raises(Died):
            await stand.tick()
        mortal.lives = None
        stand.controller()
        assert stand.run().stage_name == ("half" if lives else "canary")
        assert (await stand.tick()).stage_name == "half"
        assert (await stand.tick(9 - lives)).stage_name == "half"
        assert (await stand.tick(2)).phase is Phase.COMPLETED
        assert await stand.actions() == ["put", "start", "advance", "complete"]


async def test_two_finishes_write_the_variant_once() -> None:
    async with crossing() as (stand, journal):
        await stand.start()
        assert (await stand.tick(40)).phase is Phase.COMPLETED

        async def finish() -> None:
            command = Drive(Verb.FINISH, "launch", "finish", intent=Intent(reason="done"))
            await drive(stand.environment, command, MIA, stand.runs.known)

        journal.meanwhile = finish
        with pytest.raises(Refused, match="finished already"):
            await finish()
        assert (await stand.actions()).count("finish") == 1


async def start_over_wire(who: Person, key: str = "") -> pb.StartRolloutResponse | grpc.StatusCode:
    """The answer, or how it was refused."""
    request = pb.StartRolloutRequest(rollout="launch", intent=pb.Intent(idempotency_key=key))
    try:
        return await who.stub.StartRollout(request, metadata=who.metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()


@pytest.mark.parametrize("key", ["", "one-and-the-same"])
async def test_two_starts_at_once_over_the_wire_open_one_run(tmp_path: Path, key: str) -> None:
    """One is done and one is refused; with the same idempotency key both are told of the same entry."""
    pipeline = {"stages": [{"name": "canary", "share": "20%", "soak": "1h"}]}
    async with world(tmp_path) as around:
        await around.admin.apply(
            wire_document("Pipeline", "quick", pipeline),
            wire_document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
            wire_document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick"}),
        )
        other = Person(around.channel, bearer(await around.running.token("admin")))
        answers = await asyncio.gather(*(start_over_wire(one, key) for one in (around.admin, other) for _ in range(4)))
        done = [one for one in answers if isinstance(one, pb.StartRolloutResponse)]
        refused = [one for one in answers if not isinstance(one, pb.StartRolloutResponse)]
        assert len(done) == (8 if key else 1)
        assert set(refused) <= {grpc.StatusCode.FAILED_PRECONDITION}
        assert len({one.moved.entry.revision for one in done}) == 1
        assert {one.moved.rollout.run for one in done} == {1}
