"""Real processes, killed and paused: what was acknowledged is there, and nothing is written by who may no longer.

The long forms are promises 6 and 9: `make soak`. Failovers under servers and SDKs: test_failover.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from rollout_server.adapters.redis_journal import RedisJournal
from rollout_server.adapters.redis_link import Wait
from rollout_server.app.environment import Environment
from rollout_server.domain.journal import Entry, State
from rollout_server.errors import Unavailable, Unknown
from tests.doubles.fake_clock import FakeClock
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import own_redis
from tests.small_server import Person, admin_of, bearer, channel_to, process_on, serving
from tests.small_server import flag as flag_document
from tests.watched_redis import watched_redis

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 6

T = TypeVar("T")


@dataclass
class Tally:
    """What a group of writers was told, by idempotency key."""

    acknowledged: dict[str, Entry] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    is_over: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, journal: RedisJournal, name: str) -> None:
        number = 0
        while not self.is_over:
            number += 1
            key = f"{name}-{number}"
            intent = draft(flag(f"{name}-{number % 9}"), idempotency_key=key, fingerprint="f", reason=key)
            try:
                self.acknowledged[key] = await journal.commit(intent)
            except Unknown:
                self.unknown.add(key)
            except Unavailable:
                self.refused.add(key)
                await asyncio.sleep(0.005)
            async with self.changed:
                self.changed.notify_all()

    async def grow(self, by: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + by
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def check(self, journal: RedisJournal) -> None:
        """Hold what was told against the log."""
        head = (await journal.load()).position
        log: dict[str, list[Entry]] = {}
        after = 0
        while after < head.revision:
            page = await journal.entries(after, 500)
            for entry in page:
                log.setdefault(entry.reason, []).append(entry)
            after = page[-1].revision
        assert all(len(entries) == 1 for entries in log.values()), "something was written twice"
        lost = [key for key, entry in self.acknowledged.items() if log.get(key) != [entry]]
        assert lost == []
        assert self.refused & log.keys() == set(), "told as not written, and it is there"
        assert log.keys() <= self.acknowledged.keys() | self.unknown
        assert (await journal.verify(head)).intact


async def kill_redis(kills: int) -> Tally:
    """Two servers' worth of writers, and a Redis that dies under them."""
    async with own_redis() as server:
        stores = [await redis_store(server.url()) for _ in range(2)]
        tally = Tally()
        writing = [
            asyncio.create_task(tally.write(stores[number % 2].journal("production"), f"w{number}"))
            for number in range(WRITERS)
        ]
        for _ in range(kills):
            await tally.grow(25)
            server.kill()
            server.start()
            await server.ready()
        await tally.grow(25)
        tally.is_over = True
        await asyncio.gather(*writing)
        await tally.check(stores[0].journal("production"))
        for store in stores:
            await store.close()
    return tally


async def test_kill_9_of_redis_loses_nothing_that_was_acknowledged() -> None:
    """Every acknowledged change is there once, every refused one is not, in the middle of commits."""
    tally = await kill_redis(6)
    assert len(tally.acknowledged) >= 7 * 25


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_kill_9_of_redis_500_times() -> None:
    """Promise 6, the victim being Redis."""
    await kill_redis(500)


class Holder:
    """A `tests/lease_holder.py` of its own process, and what it has said.

    Attributes:
        token: that it was given last.
        wrote: how many entries it wrote under it.
        fenced: how often the store refused it.
    """

    def __init__(self, process: asyncio.subprocess.Process, changed: asyncio.Condition) -> None:
        self.process = process
        self.token = 0
        self.wrote = 0
        self.fenced = 0
        self.changed = changed
        self.listening = asyncio.create_task(self._listen())

    @classmethod
    async def started(cls, url: str, name: str, term_ms: int, changed: asyncio.Condition) -> Holder:
        path = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "sdk")))}
        words = (str(ROOT / "tests" / "lease_holder.py"), url, name, str(term_ms))
        pipe, environ = asyncio.subprocess.PIPE, {**os.environ, **path}
        return cls(await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe, env=environ), changed)

    async def until_it_wrote(self, after: int, count: int) -> None:
        """Wait until it has written so much under a token above this one."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.token > after and self.wrote >= count)

    async def kill(self) -> None:
        self.process.kill()
        await self.listening
        await self.process.wait()

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            word, token = line.decode().split()
            async with self.changed:
                match word:
                    case "held":
                        self.token, self.wrote = int(token), 0
                    case "wrote":
                        self.wrote += 1
                    case _:
                        self.fenced += 1
                self.changed.notify_all()


def _was_fenced(holder: Holder, before: int) -> bool:
    return holder.fenced > before


async def pause_holders(pauses: int, term_ms: int) -> None:
    """Two controllers; whoever holds the lease is stopped for three terms, again and again."""
    async with own_redis() as server:
        changed = asyncio.Condition()
        holders = [await Holder.started(server.url(), name, term_ms, changed) for name in ("a", "b")]
        await asyncio.wait(
            [asyncio.create_task(each.until_it_wrote(0, 5)) for each in holders], return_when=asyncio.FIRST_COMPLETED
        )
        for _ in range(pauses):
            waiter, holder = sorted(holders, key=lambda each: each.token)
            newest, fenced = holder.token, holder.fenced
            holder.process.send_signal(signal.SIGSTOP)
            await waiter.until_it_wrote(newest, 5)
            await asyncio.sleep(3 * term_ms / 1_000)  # the pause is what this is about
            holder.process.send_signal(signal.SIGCONT)
            async with changed:
                await changed.wait_for(partial(_was_fenced, holder, fenced))
        for each in holders:
            await each.kill()
        store = await redis_store(server.url())
        journal = store.journal("production")
        tokens = [int(entry.reason) for entry in await journal.entries(0, 1_000_000)]
        assert tokens == sorted(tokens), "an old token wrote after a new one"
        assert len(set(tokens)) >= pauses + 1
        assert (await journal.verify(None)).intact
        await store.close()


async def test_a_paused_controller_writes_nothing_when_it_wakes() -> None:
    """SIGSTOP for three terms, takeover, SIGCONT: the first write of the old one is refused, and no other was made."""
    await pause_holders(2, term_ms=400)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_200_paused_controllers() -> None:
    """Promise 9."""
    await pause_holders(200, term_ms=600)


async def fail_over(rounds: int) -> Tally:
    """Writers that wait for one replica; the primary is killed, its replica promoted, and an empty one attached."""
    async with watched_redis() as redis:
        store = await retried(lambda: redis_store(redis.url, wait=Wait(1, 200)))  # the Sentinel may still be starting
        tally = Tally()
        journal = store.journal("production")
        # What no replica had confirmed may be lost, and the history is then a new epoch: an environment sees to that.
        environment = Environment(journal, FakeClock())
        await environment.start()
        writing = [asyncio.create_task(tally.write(journal, f"w{number}")) for number in range(WRITERS)]
        for _ in range(rounds):
            await tally.grow(25)
            await redis.linked()
            await redis.fail_over()
            await tally.grow(25)
        tally.is_over = True
        await asyncio.gather(*writing)
        await retried(lambda: tally.check(journal))
        head = (await journal.load()).position
        await environment.catch_up()
        assert environment.position == head
        await environment.close()
        await store.close()
    return tally


async def test_a_failover_loses_nothing_that_a_replica_confirmed() -> None:
    """WAIT 1 and a real Sentinel: what was acknowledged survives, what was refused does not, the rest was unknown."""
    assert len((await fail_over(1)).acknowledged) >= 50


async def test_after_a_loss_every_server_follows_what_survived(tmp_path: Path) -> None:
    """Redis comes back without its last changes: a new epoch, once, and the servers go on from what it has."""
    async with own_redis() as server:
        store, beside = await redis_store(server.url()), await redis_store(server.url())
        here, there = (Environment(each.journal("production"), FakeClock()) for each in (store, beside))
        await here.start()
        await here.commit(draft(flag("kept")))
        await there.start()
        server.kill()
        copy = {path: path.read_bytes() for path in server.directory.rglob("*.aof*") if path.is_file()}
        server.start()
        await server.ready()
        await retried(lambda: here.commit(draft(flag("lost"))))
        await there.wait_for(2)
        epoch, heard = here.position.epoch, [asyncio.Event() for _ in range(2)]
        for environment, event in zip((here, there), heard, strict=True):
            environment.subscribe(partial(_hear, event))
        server.kill()
        for path, content in copy.items():
            path.write_bytes(content)
        server.start()
        await server.ready()
        for event in heard:
            await event.wait()
        assert here.position == there.position
        assert (here.position.revision, here.position.epoch != epoch) == (1, True)
        assert [name.key for name in here.state.resources] == ["kept"]
        assert (await retried(lambda: there.commit(draft(flag("next"))))).revision == 2
        await here.wait_for(2)
        await here.close()
        await there.close()
        await store.close()
        await beside.close()


async def test_a_server_without_redis_serves_and_refuses_and_comes_back(tmp_path: Path) -> None:
    """Reads from memory, changes refused at once with the reason, and everything by itself when Redis is back."""
    async with own_redis() as server, serving(tmp_path, redis_url=server.url()) as running:
        token = await running.token("admin")
        async with channel_to(running.address) as channel:
            person = Person(channel, bearer(token))
            await person.apply(flag_document("before"))
            server.kill()
            assert [one.key for one in (await person.status()).flags] == ["before"]
            with pytest.raises(Exception, match="not answer"):
                await person.apply(flag_document("meanwhile"))
            server.start()
            await server.ready()
            environment = running.served["production"].environment
            await retried(environment.catch_up)
            await person.apply(flag_document("after"))
            assert sorted(one.key for one in (await person.status()).flags) == ["after", "before"]


async def test_a_server_that_starts_before_its_redis_waits_for_it(tmp_path: Path) -> None:
    """It says so, serves as soon as Redis answers, and may be stopped meanwhile; a wrong password is told at once."""
    async with own_redis(requirepass="right") as server:
        url = server.url().replace("unix://", "unix://:right@")
        server.kill()
        async with process_on(tmp_path / "stopped", redis_url=url) as waiting:
            assert "waiting for Redis" in await waiting.line()
            code, said = await waiting.end(kill=False)
            assert (code, "Traceback" in said) == (0, False)
        async with process_on(tmp_path / "served", redis_url=url) as waiting, channel_to(waiting.address) as channel:
            assert "does not answer" in await waiting.line()
            server.start()
            await server.ready()
            assert not (await (await admin_of(tmp_path / "served", channel)).status()).flags
        async with process_on(
            tmp_path / "refused", redis_url=server.url().replace("unix://", "unix://:no@")
        ) as refused:
            code, said = await refused.exit()
            assert (code, "it refuses the password" in said) == (1, True)


def _hear(event: asyncio.Event, entry: Entry | None, _before: State, _after: State) -> None:
    if entry is None:
        event.set()


async def retried(work: Callable[[], Awaitable[T]]) -> T:
    """What a person does whose command is refused: again, a moment later."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await work()
            except Unavailable:
                await asyncio.sleep(0.02)
