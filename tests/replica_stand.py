"""Replicas of real server processes behind a balancer, with writers, readers and SDKs who note all that they are told.

What is done to the replicas and to their Redis meanwhile is the test's business, and `tests/history_judge.py` says in
the end whether everything that was told agrees with the log.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from rollout_sdk import Client, Context
from rollout_sdk.settings import Settings
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.api.error_map import DETAIL_KEY
from rollout_server.domain.journal import Entry
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind
from rollout_server.stores import KEY_FILE, open_stores
from tests.balanced_replicas import Replica, balancer
from tests.replica_history import History, Logged, Outcome, Read, Sighting, Standing, Verb, Write
from tests.small_server import Person, admin_of, channel_to, document, settings

FLAGS = ("cart", "checkout", "prices", "search")
WRITERS, READERS, SDKS = 5, 2, 2
BACK_WITHIN_S = 120.0
ANSWER_WITHIN_S = 20.0
QUICKLY = ("grpc.max_reconnect_backoff_ms", 100)
NOBODY = Context("u-1")


@dataclass(frozen=True)
class Answer:
    """Of one call; `entry` names what it wrote, or what an earlier call with its key wrote."""

    outcome: Outcome
    entry: tuple[int, bytes] = (0, b"")


@dataclass
class Stand:
    """Two replicas, and everybody who uses them.

    Attributes:
        odd: answers that nobody should get here.
    """

    replicas: list[Replica]
    people: dict[str, Person]
    chance: random.Random
    history: History = field(default_factory=History)
    odd: list[str] = field(default_factory=list)
    is_over: bool = False
    acknowledged: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _moments: itertools.count[int] = field(default_factory=partial(itertools.count, 1))

    # ------------------------------------------------------------------------------------------------------ writers

    async def write_on(self, name: str) -> None:
        """Change one flag after the other, upon what some replica says of it; repeat until the outcome is known."""
        for number in itertools.count(1):
            if self.is_over:
                return
            flag = self.chance.choice(FLAGS)
            read = await self.read(self.chance.choice(self.replicas), flag)
            if read is not None:
                version, _, killed = read.found[flag]
                verb = Verb.SET
                if self.chance.random() < 0.4:
                    # Mostly the one that would do something; either may be so already.
                    verb = Verb.UNKILL if killed ^ (self.chance.random() < 0.2) else Verb.KILL
                value = len(self.history.writes) + 1_000 * number
                await self.write(Write(f"{name}-{number}", verb, flag, "", 0, 0, Outcome.UNKNOWN, version, value))
            await asyncio.sleep(self.chance.uniform(0, 0.02))

    async def write(self, wish: Write) -> None:
        asked, is_maybe_there = next(self._moments), False
        while True:
            replica = self.chance.choice(self.replicas)
            answer = await self._ask(replica, wish)
            outcome = answer.outcome
            if outcome is Outcome.REFUSED and is_maybe_there:
                outcome = Outcome.UNKNOWN
            if outcome is not Outcome.UNKNOWN or self.chance.random() < 0.02:
                break
            is_maybe_there = True
            await asyncio.sleep(0.02)
        done = replace(wish, replica=replica.name, asked=asked, answered=next(self._moments), outcome=outcome)
        if outcome is Outcome.WRITTEN:
            done = await self._repeated(replace(done, told=(answer.entry,)), often=0.1)
            async with self.changed:
                self.acknowledged += 1
                self.changed.notify_all()
        self.history.writes.append(done)
        if outcome is Outcome.REFUSED:
            await asyncio.sleep(0.02)

    async def _repeated(self, done: Write, *, often: float) -> Write:
        """Now and then ask once more what was answered, of any replica: whatever entry it names is told as well."""
        if self.chance.random() >= often:
            return done
        answer = await self._ask(self.chance.choice(self.replicas), done)
        if answer.outcome in {Outcome.UNKNOWN, Outcome.REFUSED}:
            return done
        return replace(done, told=(*done.told, answer.entry))

    async def _ask(self, replica: Replica, wish: Write) -> Answer:
        person, intent = self.people[replica.name], pb.Intent(idempotency_key=wish.key)
        metadata, timeout = person.metadata, ANSWER_WITHIN_S
        said: pb.ApplyResponse | pb.KillResponse | pb.UnkillResponse
        try:
            match wish.verb:
                case Verb.SET:
                    apply = pb.ApplyRequest(intent=intent, documents=[flag_document(wish)])
                    said = await person.stub.Apply(apply, metadata=metadata, timeout=timeout)
                case Verb.KILL:
                    kill = pb.KillRequest(intent=intent, flag=wish.flag)
                    said = await person.stub.Kill(kill, metadata=metadata, timeout=timeout)
                case Verb.UNKILL:
                    unkill = pb.UnkillRequest(intent=intent, flag=wish.flag)
                    said = await person.stub.Unkill(unkill, metadata=metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Answer(self._outcome(error, wish.verb))
        if said.entry.revision:
            return Answer(Outcome.WRITTEN, (said.entry.revision, said.entry.digest))
        return Answer(Outcome.UNCHANGED)

    def _outcome(self, error: grpc.aio.AioRpcError, verb: Verb) -> Outcome:
        code = code_of(error)
        match code:
            case "" | "unknown":
                return Outcome.UNKNOWN  # the connection broke, or the store did not say
            case "conflict":
                return Outcome.MOVED if verb is Verb.SET else Outcome.REFUSED
            case "unavailable":
                return Outcome.REFUSED
            case _:
                self.odd.append(f"{code}: {error.details()}")
                return Outcome.UNKNOWN

    # ------------------------------------------------------------------------------------------------------ readers

    async def read_on(self) -> None:
        """Ask either replica how flags stand."""
        while not self.is_over:
            flag = self.chance.choice((*FLAGS, ""))
            found = await self.read(self.chance.choice(self.replicas), flag)
            await asyncio.sleep(0.05 if found is None else self.chance.uniform(0, 0.03))

    async def read(self, replica: Replica, flag: str) -> Read | None:
        """Ask how one flag stands, or all of them; None where there is no answer."""
        person, asked = self.people[replica.name], next(self._moments)
        found: dict[str, tuple[int, int | None, bool]] = {}
        try:
            if flag:
                request = pb.GetResourceRequest(kind="Flag", key=flag)
                one = await person.stub.GetResource(request, metadata=person.metadata, timeout=ANSWER_WITHIN_S)
                value = int(one.resource.document.json.split('"on":', 1)[1].split("}")[0].split(",")[0])
                found[flag] = (one.resource.version, value, '"killed":true' in squeezed(one.resource.status_json))
                position = one.position
            else:
                status = await person.stub.GetStatus(
                    pb.GetStatusRequest(), metadata=person.metadata, timeout=ANSWER_WITHIN_S
                )
                found |= {one.key: (one.version, None, one.killed) for one in status.flags if one.key in FLAGS}
                position = status.position
        except grpc.aio.AioRpcError as error:
            if code_of(error) not in {"", "unavailable"}:
                self.odd.append(f"reading: {code_of(error)}: {error.details()}")
            return None
        replica.answers = True
        where = (position.epoch, position.revision)
        done = Read(replica.name, asked, next(self._moments), *where, found, position.digest)
        self.history.reads.append(done)
        return done

    async def look_on(self, clients: dict[str, Client]) -> None:
        """Note what SDKs hold and serve, whenever that is another."""
        last: dict[str, tuple[str, int]] = {}
        while not self.is_over:
            for name, client in clients.items():
                decisions = client.decide_all(NOBODY)
                for held in {(one.epoch, one.revision) for one in decisions.values()}:
                    if last.get(name) != held:
                        last[name] = held
                        found = {key: decisions[key].value for key in FLAGS if key in decisions}
                        served = {key: value for key, value in found.items() if isinstance(value, int)}
                        self.history.sightings.append(Sighting(name, *held, served))
            await asyncio.sleep(0.01)

    # ---------------------------------------------------------------------------------------------------- afterwards

    async def more(self, changes: int) -> None:
        """Wait until so many more changes were acknowledged."""
        wanted = self.acknowledged + changes
        async with self.changed, asyncio.timeout(BACK_WITHIN_S):
            await self.changed.wait_for(lambda: self.acknowledged >= wanted)

    async def everybody_is_back(self, clients: dict[str, Client]) -> None:
        """Wait until every replica answers, and every SDK holds what they answer; the whole chain holds."""
        async with asyncio.timeout(BACK_WITHIN_S):
            for replica in self.replicas:
                while await self.read(replica, "") is None:  # noqa: ASYNC110 - another process sees to it
                    await asyncio.sleep(0.05)
            head = max(one.revision for one in self.history.reads)
            while any(client.status().revision < head for client in clients.values()):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        entries = [one.told[0] for one in self.history.writes if one.outcome is Outcome.WRITTEN]
        for person in self.people.values():
            request = pb.VerifyAuditRequest()
            request.expected_head.epoch = self.history.reads[-1].epoch
            request.expected_head.revision, request.expected_head.digest = max(entries)
            verified = await person.stub.VerifyAudit(request, metadata=person.metadata)
            assert verified.intact, verified.problem

    async def settle(self, log: list[Logged]) -> None:
        """Repeat what was given up and is in the log: its key must lead to that entry."""
        entries = {one.key: (one.revision, one.digest) for one in log}
        for at, one in enumerate(self.history.writes):
            if one.outcome is Outcome.UNKNOWN and one.key in entries:
                told = await self._repeated(replace(one, told=(entries[one.key],)), often=1)
                assert len(told.told) == 2, f"{one.key} is in the log, and its repeat is not answered"
                self.history.writes[at] = told


def code_of(error: grpc.aio.AioRpcError) -> str:
    """The code that a server gave its refusal; empty where no server did."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_KEY and isinstance(value, bytes):
            return pb.ErrorDetail.FromString(value).code
    return ""


def squeezed(text: str) -> str:
    return "".join(text.split())


def flag_document(wish: Write) -> pb.Document:
    """The flag with its next value; without a version where there is none yet."""
    spec = f'{{"variants": {{"on": {wish.value}, "off": 0}}, "off": "off", "default": "on"}}'
    version = f', "version": {wish.expected}' if wish.expected else ""
    made = document("Flag", wish.flag)
    made.json = f'{{"kind": "Flag", "metadata": {{"key": "{wish.flag}"{version}}}, "spec": {spec}}}'
    return made


def logged(entry: Entry) -> Logged:
    flags: dict[str, Standing] = {}
    for change in entry.changes:
        if change.id.kind is Kind.FLAG and change.id.key in FLAGS and change.after is not None:
            spec, status = change.after.spec, change.after.status
            assert isinstance(spec, FlagSpec)
            assert isinstance(status, FlagStatus)
            (value,) = (one.value for one in spec.variants if one.key == "on")
            assert isinstance(value, int)
            flags[change.id.key] = Standing(change.after.version, value, status.killed)
    return Logged(entry.revision, entry.digest, entry.idempotency_key, flags)


async def whole_log(data: Path, url: str) -> list[Logged]:
    """Every entry there is, read past all servers."""
    stores = await open_stores(settings(data, redis_url=url), SystemClock())
    try:
        journal = stores.journal("production")
        head = (await journal.load()).position
        assert (await journal.verify(head)).intact
        log: list[Logged] = []
        while len(log) < head.revision:
            log += [logged(entry) for entry in await journal.entries(len(log), 1_000)]
        return log
    finally:
        await stores.close()


@asynccontextmanager
async def standing(
    tmp_path: Path, chance: random.Random, url: str, **options: Any
) -> AsyncIterator[tuple[Stand, dict[str, Client]]]:
    """Two replicas on one Redis, flags, and SDKs behind a balancer; the options are settings of the servers."""
    async with AsyncExitStack() as stack:
        replicas = [Replica(name, tmp_path / name, redis_url=url, **options) for name in ("a", "b")]
        channels = [await stack.enter_async_context(channel_to(each.address, QUICKLY)) for each in replicas]
        first, second = [await stack.enter_async_context(each) for each in replicas]
        staying = [asyncio.create_task(first.stay())]
        admin = await admin_of(first.data, channels[0])
        second.data.mkdir()
        (second.data / KEY_FILE).write_bytes((first.data / KEY_FILE).read_bytes())
        (second.data / KEY_FILE).chmod(0o600)
        staying.append(asyncio.create_task(second.stay()))
        await asyncio.wait_for(channels[1].channel_ready(), BACK_WITHIN_S)
        people = {each.name: Person(way, admin.metadata) for each, way in zip(replicas, channels, strict=True)}
        stand = Stand(replicas, people, chance)
        token = (await admin.token("sdk")).secret
        for number, flag in enumerate(FLAGS, start=1):
            await stand.write(Write(f"made-{flag}", Verb.SET, flag, "", 0, 0, Outcome.UNKNOWN, 0, number))
        target = await stack.enter_async_context(balancer(replicas, chance))
        made = {
            f"sdk-{number}": Client.of(Settings(target, token, backoff_base_ms=100, backoff_max_ms=300))
            for number in range(SDKS)
        }
        clients = {name: stack.enter_context(client) for name, client in made.items()}
        yield stand, clients
        for client in clients.values():
            await asyncio.to_thread(client.close)
        for replica in replicas:
            replica.stop()
        await asyncio.gather(*staying)


@asynccontextmanager
async def at_work(stand: Stand, clients: dict[str, Client]) -> AsyncIterator[None]:
    """Writers, readers and lookers, for as long as the context lasts; then everybody is back, and they stop."""
    async with asyncio.TaskGroup() as working:
        for number in range(WRITERS):
            working.create_task(stand.write_on(f"w{number}"))
        for _ in range(READERS):
            working.create_task(stand.read_on())
        working.create_task(stand.look_on(clients))
        try:
            yield
            await stand.everybody_is_back(clients)
        finally:
            stand.is_over = True


async def last_look(stand: Stand, clients: dict[str, Client]) -> None:
    """Note what SDKs serve in the end."""
    await stand.everybody_is_back(clients)
    stand.is_over = False
    looking = asyncio.create_task(stand.look_on(clients))
    await asyncio.sleep(0.05)
    stand.is_over = True
    await looking
