"""Failovers of Redis under servers, writers, readers, SDKs and rollbacks: everybody follows the history that survived.

A real Sentinel promotes. Each time the primary is killed in the middle of writes, and the server that takes its place
as a replica is a new, empty one. What the dead primaries held is kept and read in the end: `tests/history_judge.py`
holds whatever was read or served against the branch that it came from.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk import Client
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.domain.journal import Entry
from rollout_server.domain.machine import EXPOSING
from rollout_server.domain.resources import Kind, ResourceId, RolloutStatus
from rollout_server.stores import open_stores
from tests.history_judge import judge, judge_sightings, lost_of
from tests.replica_history import Branch, Logged, Outcome, Sighting, Standing, Verb, Write
from tests.replica_stand import (
    ANSWER_WITHIN_S,
    BACK_WITHIN_S,
    NOBODY,
    Stand,
    at_work,
    code_of,
    last_look,
    logged,
    standing,
)
from tests.small_server import Person, document, settings
from tests.watched_redis import WatchedRedis, risen, watched_redis

RAMP = "ramp"
LAUNCH = ResourceId(Kind.ROLLOUT, "ramp-launch")
WAIT_MS = 200
EXPECTED = {
    "evidence cannot be kept; ticks go on with what they remember",
    "the journal cannot be followed from the note on; what stands is told",
    "what was told to whom cannot be noted; a restart tells it again",
    "what was told to whom cannot be noted; a restart would tell it again",
    "what was told to whom cannot be read; nobody is told until it can",
    "the journal cannot be read; memory answers on",
    "compaction failed, to be tried again",
    "changes that are over could not be ended, to be tried again",
    "the store has lost entries that this server had applied; its history is a new epoch",
    "this history lost its tail: a client holds an entry that the store does not; the epoch is renewed",
}


def documents() -> list[pb.Document]:
    """A flag, and a rollout that exposes everybody at once for a day."""
    stages = [{"name": "all", "share": "100%", "soak": "1d"}]
    return [
        document("Pipeline", "at-once", {"stages": stages}),
        document("Flag", RAMP, {"rules": [{"id": "launch", "rollout": LAUNCH.key}]}),
        document("Rollout", LAUNCH.key, {"flag": RAMP, "from": "off", "to": "on", "pipeline": "at-once"}),
    ]


@dataclass
class Ramp:
    """One rollout that is started and taken back, again and again.

    Attributes:
        rollbacks: of each that was acknowledged, its revision and digest.
        unanswered: how often they had to be repeated.
        sightings: what SDKs served of its flag.
    """

    stand: Stand
    clients: dict[str, Client]
    rollbacks: list[tuple[int, bytes]] = field(default_factory=list)
    unanswered: int = 0
    sightings: list[Sighting] = field(default_factory=list)

    async def start(self, number: int) -> None:
        """Start it, and wait until every SDK serves it."""
        request = pb.StartRolloutRequest(rollout=LAUNCH.key, intent=pb.Intent(idempotency_key=f"start-{number}"))
        await self._told(lambda person: person.stub.StartRollout)(request)
        await self._served(on=True)

    async def roll_back(self, number: int) -> None:
        """Take it back, as somebody does who repeats the command until it is answered."""
        request = pb.RollbackRequest(rollout=LAUNCH.key, intent=pb.Intent(idempotency_key=f"rollback-{number}"))
        told = await self._told(lambda person: person.stub.Rollback)(request)
        assert told.moved.entry.revision, "the key is new, and the rollout ran"
        self.rollbacks.append((told.moved.entry.revision, told.moved.entry.digest))

    async def is_back_everywhere(self) -> None:
        """Wait until no SDK serves it."""
        await self._served(on=False)

    async def look_on(self) -> None:
        """Note what SDKs serve of it, whenever that or what they hold is another."""
        last: dict[str, Sighting] = {}
        while not self.stand.is_over:
            for name, client in self.clients.items():
                decision = client.decide(RAMP, NOBODY, default=False)
                seen = Sighting(name, decision.epoch, decision.revision, {RAMP: int(decision.value is True)})
                if decision.revision and last.get(name) != seen:
                    last[name] = seen
                    self.sightings.append(seen)
            await asyncio.sleep(0.005)

    def _told(self, verb: Callable[[Person], Callable[..., Any]]) -> Callable[[Any], Awaitable[Any]]:
        """Return what asks one replica or the other until it is answered."""

        async def ask(request: Any) -> Any:
            async with asyncio.timeout(BACK_WITHIN_S):
                while True:
                    person = self.stand.people[self.stand.chance.choice(self.stand.replicas).name]
                    try:
                        return await verb(person)(request, metadata=person.metadata, timeout=ANSWER_WITHIN_S)
                    except grpc.aio.AioRpcError as error:
                        if code_of(error) not in {"", "unknown", "unavailable"}:
                            raise
                        self.unanswered += 1
                    await asyncio.sleep(0.02)

        return ask

    async def _served(self, *, on: bool) -> None:
        async with asyncio.timeout(BACK_WITHIN_S):
            for client in self.clients.values():
                while client.enabled(RAMP, NOBODY) is not on:  # noqa: ASYNC110 - its own threads see to it
                    await asyncio.sleep(0.005)


# ------------------------------------------------------------------------------------------------------- what was so


async def entries_of(data: Path, url: str, like: Sequence[Entry] = ()) -> tuple[str, list[Entry]]:
    """Read the epoch and the whole log past all servers; of `like`, the part that agrees is not read again."""
    stores = await open_stores(settings(data, redis_url=url), SystemClock())
    try:
        journal = stores.journal("production")
        head = (await journal.load()).position
        same = min(head.revision, len(like))
        while same and (await journal.entries(same - 1, 1))[0].digest != like[same - 1].digest:
            same -= 1
        log = list(like[:same])
        while len(log) < head.revision:
            log += await journal.entries(len(log), 1_000)
        return head.epoch, log
    finally:
        await stores.close()


def ramp_logged(entry: Entry) -> Logged:
    """What an entry makes of the rollout: 1 where it exposes everybody, else 0."""
    found: dict[str, Standing] = {}
    for change in entry.changes:
        if change.id == LAUNCH and change.after is not None:
            assert isinstance(change.after.status, RolloutStatus)
            run = change.after.status.run
            found[RAMP] = Standing(change.after.version, int(run is not None and run.phase in EXPOSING))
    return Logged(entry.revision, entry.digest, entry.idempotency_key, found)


def flags_logged(epoch: str, entries: Sequence[Entry]) -> Branch:
    return Branch(epoch, [logged(entry) for entry in entries])


# ----------------------------------------------------------------------------------------------------------- the test


async def fail_over(redis: WatchedRedis, stand: Stand, ramp: Ramp, number: int) -> None:
    """Kill the primary in the middle of writes, a rollback among them, and wait until it is taken back everywhere.

    Every other time its replica was cut off a moment before: what is written meanwhile dies with it. Every fifth time
    the Sentinel finds out by itself.
    """
    primary = await redis.linked()
    await ramp.start(number)
    await stand.more(stand.chance.randint(3, 15))
    if number % 2 == 0:
        await redis.cut_off(primary)
        await asyncio.sleep(stand.chance.uniform(0, 3) * WAIT_MS / 1_000)
    rolling_back = asyncio.create_task(ramp.roll_back(number))
    await asyncio.sleep(stand.chance.choice((0, 0.001, 0.003, 0.01)))
    await redis.fail_over(is_told=number % 5 != 0)
    await rolling_back
    await ramp.is_back_everywhere()


async def fail_over_and_judge(tmp_path: Path, rounds: int, say: Callable[[str], None]) -> None:
    """The whole of it; `say` is told how far it is."""
    chance = random.Random(rounds)  # noqa: S311 - when to kill, no secret
    async with watched_redis() as redis:
        options = {"redis_wait_replicas": 1, "redis_wait_ms": WAIT_MS}
        async with standing(tmp_path, chance, redis.url, **options) as (stand, clients):
            ramp = Ramp(stand, clients)
            await stand.people["a"].apply(*documents())
            async with at_work(stand, clients):
                looking = asyncio.create_task(ramp.look_on())
                for number in range(1, rounds + 1):
                    await fail_over(redis, stand, ramp, number)
                    if number % 5 == 0:
                        say(f"{number} failovers, {stand.acknowledged} changes acknowledged")
                await redis.linked()
            await looking
            (_, entries) = await entries_of(tmp_path / "a", redis.url)
            await stand.settle([logged(entry) for entry in entries])
            await last_look(stand, clients)
            promoted = redis.failovers()
            epoch, entries = await entries_of(tmp_path / "a", redis.url)
            dead = []
            for grave in redis.graves:
                async with risen(grave) as server:
                    dead.append(await entries_of(tmp_path / "a", server.url(), entries))
    final = flags_logged(epoch, entries)
    verdict = judge(stand.history, final.log, [flags_logged(*each) for each in dead], epoch)
    ramps = [[ramp_logged(entry) for entry in log] for log in (entries, *(log for _, log in dead))]
    of_ramp = list(judge_sightings(ramp.sightings, ramps))
    lost = [len(lost_of(flags_logged(*each).log, final.log)) for each in dead]
    counted = Counter(one.outcome.value for one in stand.history.writes)
    events = sum((one.events for one in stand.replicas), Counter[str]())
    say(
        f"{promoted} failovers; writes {dict(counted)}; {len(stand.history.reads)} reads, "
        f"{len(stand.history.sightings)} revisions at SDKs; log {len(entries)}; {len(ramp.rollbacks)} rollbacks, "
        f"{ramp.unanswered} times no answer; "
        f"{sum(lost)} unconfirmed entries died in {sum(map(bool, lost))} failovers, "
        f"{len({each for each, _ in dead} | {epoch})} epochs; settled by the log {verdict.settled}, undecided "
        f"{len(verdict.undecided)}, violations {len(verdict.violations) + len(of_ramp)}; servers logged {dict(events)}"
    )
    for law, violation in {one.law: one for one in (*verdict.violations, *of_ramp)}.items():
        say(f"{sum(one.law == law for one in (*verdict.violations, *of_ramp))} times: {violation}")
    assert promoted == rounds, "the Sentinel promoted once more by itself, and that branch was not kept: a busy machine"
    assert verdict.violations == ()
    assert of_ramp == []
    assert verdict.undecided == ()
    assert stand.odd == []
    kept = {(one.revision, one.digest): one.action for one in entries}
    assert [kept.get(one) for one in ramp.rollbacks] == ["rollback"] * rounds, "an acknowledged rollback is lost"
    for replica in stand.replicas:
        assert [code for code, _ in replica.ends] == [0], "servers go on by themselves"
        assert replica.events.keys() <= EXPECTED


async def test_a_failover_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Two failovers with WAIT 1: nothing acknowledged is lost, nothing is there twice, SDKs follow what survived."""
    await fail_over_and_judge(tmp_path, 2, lambda _: None)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
async def test_100_failovers_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/redis.md, the row of redis_wait_replicas, and promises 4 and 8 across failovers."""

    def say(what: str) -> None:
        with capsys.disabled():
            print(what, flush=True)  # noqa: T201 - somebody waits for this for minutes

    await fail_over_and_judge(tmp_path, 100, say)


async def written(stand: Stand, key: str, verb: Verb, flag: str, value: int = 0) -> Write:
    """One change by one replica or the other, acknowledged."""
    read = await stand.read(stand.replicas[0], flag)
    assert read is not None
    await stand.write(Write(key, verb, flag, "", 0, 0, Outcome.UNKNOWN, read.found[flag][0], value))
    assert stand.history.writes[-1].outcome is Outcome.WRITTEN
    return stand.history.writes[-1]


async def all_serve(clients: dict[str, Client], **values: object) -> str:
    """Wait until every SDK serves these; return the epoch that all of them then follow."""
    async with asyncio.timeout(BACK_WITHIN_S):
        while True:
            found = [client.decide_all(NOBODY) for client in clients.values()]
            epochs = {one[key].epoch for one in found for key in values if key in one}
            if all(one[key].value == value for one in found for key, value in values.items()) and len(epochs) == 1:
                return epochs.pop()
            await asyncio.sleep(0.005)


async def test_what_a_failover_loses_without_waiting_is_gone_for_everybody_under_a_new_epoch(tmp_path: Path) -> None:
    """Acknowledged, served, and lost, a rollback and a kill among it: servers and SDKs follow what survived.

    And doctor had said so. A repeat with the same keys is written anew, for the keys were lost with the entries.
    """
    chance = random.Random(0)  # noqa: S311 - which replica, no secret
    async with watched_redis() as redis, standing(tmp_path, chance, redis.url) as (stand, clients):
        person, ramp = stand.people["a"], Ramp(stand, clients)
        told = await person.stub.Diagnose(pb.DiagnoseRequest(), metadata=person.metadata)
        (failover,) = [check for check in told.checks if check.name == "failover"]
        assert (failover.ok, "may lose changes that were acknowledged" in failover.detail) == (False, True)
        assert "redis_wait_replicas" in failover.hint

        await person.apply(*documents())
        for number in (1, 2):
            await ramp.start(number)
            if number == 1:
                await ramp.roll_back(1)
                await ramp.is_back_everywhere()
        primary = await redis.linked()
        kept = await written(stand, "kept", Verb.SET, "prices", 7)
        async with primary.client() as redis_client, redis_client.client() as client:
            await client.set("after", "kept")
            assert await client.wait(1, 10_000) == 1, "the replica has all that came before"
        await redis.cut_off(primary)
        lost = [
            await written(stand, "lost", Verb.SET, "prices", 8),
            await written(stand, "lost-kill", Verb.KILL, "cart"),
        ]
        await ramp.roll_back(2)
        doomed = await all_serve(clients, prices=8, cart=0, ramp=False)

        await redis.fail_over()
        surviving = await all_serve(clients, prices=7, cart=1, ramp=True)
        assert surviving != doomed
        for replica in stand.replicas:
            read = await stand.read(replica, "prices")
            assert read is not None
            assert (read.epoch, read.found["prices"]) == (surviving, (kept.told[0][0], 7, False))

        await written(stand, "lost", Verb.SET, "prices", 8)
        await ramp.roll_back(2)
        assert await all_serve(clients, prices=8, cart=1, ramp=False) == surviving
        _, entries = await entries_of(tmp_path / "a", redis.url)
    log = {(one.revision, one.digest): one for one in entries}
    assert kept.told[0] in log
    assert [one.told[0] in log for one in lost] == [False, False], "what was acknowledged is provably lost"
    assert [one in log for one in ramp.rollbacks] == [True, False, True]
    for replica in stand.replicas:
        assert replica.ends == [(0, replica.ends[0][1])]
        assert replica.events.keys() <= EXPECTED
