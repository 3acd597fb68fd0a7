"""kill -9 of a real server amid running rollouts: stages, soaks, evidence and rollbacks go on as if nothing was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Origin
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.run_memory import RunMemory, read_memory
from rollout_server.domain.telemetry import RunId
from rollout_server.stores import Stores, open_stores
from tests.e2e.test_approvals import person
from tests.journal_judge import JournalJudge, run_of
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, free_port, settings

SHOP = Path(__file__).with_name("shop_child.py")
SHOPS = 2
POPULATION = 40
CONTEXTS = [Context(f"u-{number}") for number in range(POPULATION)]
PEOPLE = ("kai", "ann")
FLAGS = ("plain", "good", "bad-search")
PACE = {"window_ms": 200, "report_every_ms": 200, "tick_ms": 200}
MANAGERS = [f"{name}@example.com" for name in PEOPLE]
APPROVED = {"approval": {"from": "managers", "count": 2}}
HEALTHY = {"guardrails": "healthy"}
PATIENT = {
    "stages": [
        {"name": "tenth", "share": "10%", "soak": "1s"},
        {"name": "ramp", "share": "40%", "ramp": "2s", "soak": "600ms"},
        {"name": "most", "share": "80%", "soak": "500ms", "exit": APPROVED},
    ],
    "finish": {"share": "100%", "watch": "1s"},
}
GUARDED = {
    "stages": [
        {"name": "canary", "share": "30%", "soak": "1s", "exit": HEALTHY},
        {"name": "half", "share": "50%", "ramp": "1s", "soak": "1s"},
    ],
    "finish": {"share": "100%", "watch": "500ms"},
    "guardrails": [{"metric": "failed", "limit": "+50%", "action": "rollback"}],
}


def documents() -> list[pb.Document]:
    moves = {"from": "off", "to": "on"}
    pipelines = {"plain": "patient", "good": "guarded", "bad-search": "guarded"}
    return [
        document("Policy", "people", {"groups": {"managers": MANAGERS}}),
        document("Metric", "failed", {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}),
        document("Pipeline", "patient", PATIENT),
        document("Pipeline", "guarded", GUARDED),
        *(document("Flag", key, {"rules": [{"id": "launch", "rollout": f"{key}-launch"}]}) for key in FLAGS),
        *(document("Rollout", f"{key}-launch", {**moves, "flag": key, "pipeline": pipelines[key]}) for key in FLAGS),
    ]


class Shop:
    """A process with an SDK, and what it answers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def decided(self) -> dict[str, Any]:
        """Ask whom it exposes now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer

    async def end(self) -> None:
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def shops(address: str, token: str, tmp_path: Path) -> AsyncIterator[list[Shop]]:
    """Copies of a shop under load."""
    opened: list[Shop] = []
    try:
        for number in range(SHOPS):
            arguments = (address, token, str(tmp_path / f"snapshot-{number}"), ",".join(FLAGS), str(POPULATION))
            opened.append(
                Shop(
                    await asyncio.create_subprocess_exec(
                        sys.executable, str(SHOP), *arguments,
                        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    )
                )
            )  # fmt: skip
        yield opened
    finally:
        for shop in opened:
            await shop.end()


@dataclass
class Kept:
    """What was true when the server was last killed."""

    head: int = 0
    memories: dict[RunId, RunMemory] = field(default_factory=dict)


class Stand:
    """A server that is killed, the people who use it, and what must be so afterwards."""

    def __init__(self, data: Path, chance: random.Random) -> None:
        self.data = data
        self.chance = chance
        self.judge = JournalJudge()
        self.kept = Kept()
        self.acknowledged: dict[int, str] = {}
        self.answers: list[dict[str, Any]] = []
        self.reached = 0

    # ------------------------------------------------------------------------------------------ while it is up

    async def act(self, admin: Person, people: list[Person], soon: asyncio.Event) -> None:
        """Start what is over, approve what waits, take back what is completed; now and then pause. Until it breaks."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                for flag in FLAGS:
                    await self._one(admin, people, f"{flag}-launch", soon)
                await asyncio.sleep(0.05)

    async def _one(self, admin: Person, people: list[Person], key: str, soon: asyncio.Event) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            found = await admin.stub.GetRollout(pb.GetRolloutRequest(rollout=key), metadata=admin.metadata)
            rollout = found.rollout
            ask: Callable[..., Awaitable[Any]] | None = None
            stub = admin.stub
            here: dict[str, Any] = {"rollout": key, "expects": rollout.stage}
            if rollout.phase in {"", "rolled back"}:
                ask = partial(stub.StartRollout, pb.StartRolloutRequest(rollout=key))
            elif rollout.phase == "completed" or (rollout.phase == "watching" and self.chance.random() < 0.1):
                ask = partial(stub.Rollback, pb.RollbackRequest(rollout=key))
            elif rollout.phase == "awaiting approval":
                admin = self.chance.choice(people)
                ask = partial(admin.stub.ApproveStage, pb.ApproveStageRequest(**here))
            elif rollout.phase == "paused":
                ask = partial(stub.ResumeRollout, pb.ResumeRolloutRequest(**here))
            elif self.chance.random() < 0.01:
                ask = partial(stub.PauseRollout, pb.PauseRolloutRequest(rollout=key))
            if ask is not None:
                soon.set()  # whoever kills may do it now, while the verb is under way
                entry = (await ask(metadata=admin.metadata)).moved.entry
                if entry.revision:
                    self.acknowledged[entry.revision] = entry.action

    async def everybody_follows(self, copies: list[Shop]) -> None:
        """Wait until every process holds what was committed when the server died; note whom it exposes."""
        for shop in copies:
            while True:
                answer = await shop.decided()
                if answer["revision"] >= self.kept.head:
                    break
                await asyncio.sleep(0.02)
            self.answers.append(answer)

    # ------------------------------------------------------------------------------------------- while it is dead

    async def look(self) -> None:
        """Open the stores that it left, and judge them."""
        stores = await open_stores(settings(self.data, **PACE), SystemClock())
        try:
            journal = stores.journal("production")
            state = await journal.load()
            entries = await journal.entries(self.judge.revision, 100_000)
            self.judge.follow(entries)
            assert self.judge.resources == state.resources
            assert (await journal.verify(None)).intact
            for revision, action in self.acknowledged.items():
                assert revision <= state.position.revision, f"{action} was acknowledged and is lost"
            self.kept.head = state.position.revision
            await self._judge_answers(stores)
            await self._judge_evidence(stores)
        finally:
            await stores.close()

    async def _judge_answers(self, stores: Stores) -> None:
        """Every process decided as the journal says of the revision that it held; what was rolled back is gone."""
        journal = stores.journal("production")
        for answer in self.answers:
            state = await journal.state_at(revision=answer["revision"])
            decider = compile_ruleset(ruleset_of(state)).bind(Origin())
            for flag in FLAGS:
                on = [at for at, each in enumerate(CONTEXTS) if decider.decide(flag, each).value]
                assert answer["on"][flag] == on, f"{flag} at revision {answer['revision']}"
                run = run_of(state.resources.get(ResourceId(Kind.ROLLOUT, f"{flag}-launch")))
                if run is not None and run.phase is Phase.ROLLED_BACK:
                    assert not on
                    self.reached += 1
        self.answers.clear()

    async def _judge_evidence(self, stores: Stores) -> None:
        """Soak and evidence of a run are never less than when the server was killed before."""
        telemetry = await stores.telemetry("production")
        for flag in FLAGS:
            run = run_of(self.judge.resources.get(ResourceId(Kind.ROLLOUT, f"{flag}-launch")))
            if run is None:
                continue
            id_ = RunId(run.rollout, run.number)
            checkpoint = await telemetry.checkpoint(id_)
            before, now = self.kept.memories.get(id_), None
            if checkpoint is not None:
                now = self.kept.memories[id_] = read_memory(checkpoint, run.progress)
                assert now.damage == ()
            if before is None:
                continue
            assert now is not None, f"the evidence of {id_} is gone"
            assert all(window <= now.evidence.judged[metric] for metric, window in before.evidence.judged.items())
            for guard, case in before.evidence.cases.items():
                assert now.evidence.cases[guard].mark == case.mark
                assert now.evidence.cases[guard].state.candidate_n >= case.state.candidate_n
            if now.progress.transition == before.progress.transition:
                assert now.progress.soak_ms >= before.progress.soak_ms, f"the soak of {id_} began anew"
                assert now.progress.ramp_ms >= before.progress.ramp_ms, f"the ramp of {id_} began anew"


async def tokens(admin: Person) -> tuple[str, list[Person]]:
    """A token for the shops, and people who approve."""
    await admin.apply(*documents())
    people = [await person(admin, name, "approver") for name in PEOPLE]
    return (await admin.token("sdk")).secret, people


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kills", [pytest.param(6), pytest.param(100, marks=pytest.mark.soak)])
async def test_rollouts_survive_kill_9_at_any_moment(tmp_path: Path, kills: int) -> None:
    """No stage is skipped, repeated or reversed, no soak either, and every process obeys what was committed."""
    chance = random.Random(kills)  # noqa: S311 - when to kill, no secret
    stand = Stand(tmp_path / "data", chance)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(ServerProcess(stand.data, free_port(), log_level="error", **PACE))
        copies: list[Shop] = []
        staff: list[Person] = []
        for _ in range(kills):
            await server.start()
            async with channel_to(server.address) as channel:
                admin = await admin_of(stand.data, channel)
                if not copies:
                    token, staff = await tokens(admin)
                    copies = await stack.enter_async_context(shops(server.address, token, tmp_path))
                people = [Person(channel, one.metadata) for one in staff]
                await asyncio.wait_for(stand.everybody_follows(copies), 60)
                soon = asyncio.Event()
                acting = asyncio.create_task(stand.act(admin, people, soon))
                await asyncio.sleep(chance.uniform(0.1, 2.0))
                if chance.random() < 0.4:
                    soon.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(soon.wait(), 3)
                    await asyncio.sleep(chance.choice((0, 0.002, 0.01)))
                await server.end(kill=True)
                acting.cancel()
                await acting
            await stand.look()
    done = Counter(one.entry.action for one in stand.judge.passages)
    assert done["advance"] > kills, "rollouts went on between the kills"
