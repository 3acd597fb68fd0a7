"""Telling and hearing go on, whatever the store does; what is kept there is bounded; the end tells the last of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from rollout_sdk.wire.fleet import read_fleet_word
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.app import peer, roster, share_fleet, shared_fleet
from rollout_server.app.environment import Environment
from rollout_server.app.served import Served
from rollout_server.app.share_fleet import ShareFleet
from rollout_server.app.shared_fleet import SharedFleet
from rollout_server.errors import Unavailable
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_replicas import MemoryReplicas, SharedBoard
from tests.small_relay import until


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_fleet, "BEAT_EVERY_S", 0.02)
    monkeypatch.setattr(share_fleet, "TELL_EVERY_S", 0.001)
    monkeypatch.setattr(share_fleet, "RETRY_S", 0.01)
    monkeypatch.setattr(shared_fleet, "LISTEN_MS", 50)


class Server:
    """One server on a store in memory."""

    def __init__(self, served: Served, replicas: MemoryReplicas) -> None:
        self.served = served
        self.replicas = replicas
        assert isinstance(served.fleet, SharedFleet)
        assert isinstance(served.sharing, ShareFleet)
        self.fleet: SharedFleet = served.fleet
        self.sharing: ShareFleet = served.sharing

    def join(self, name: str) -> object:
        stream = self.served.instances.join(Greeting(name, "1", (), "web", name, 7), "t-1")
        feed = self.served.fan_out
        self.served.instances.acknowledge(stream, Acknowledgement(feed.position, feed.ruleset_digest))
        return stream

    def names(self) -> set[str]:
        return {one.greeting.instance_id for one in self.fleet.known() if one.is_connected}

    def is_complete(self) -> bool:
        return self.fleet.certificate(self.served.fan_out.position.revision).is_complete


@dataclass
class Store:
    """What servers share; one environment in memory stands for the journal that all of them follow."""

    environment: Environment
    board: SharedBoard

    @asynccontextmanager
    async def server(self, name: str) -> AsyncIterator[Server]:
        replicas = MemoryReplicas(self.board)
        served = Served(self.environment, renew_epoch_every_ms=0, instances_max=99, replicas=replicas, name=name)
        await served.fan_out.start()
        one = Server(served, replicas)
        await one.sharing.begin()
        work = asyncio.create_task(one.sharing.keep_sharing())
        try:
            yield one
        finally:
            await one.sharing.end()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            served.fan_out.close()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    clock = SystemClock()
    journal = MemoryJournal(clock=clock)
    environment = Environment(journal, clock)
    await environment.start()
    yield Store(environment, SharedBoard(clock))
    await environment.close()
    await journal.close()


async def test_what_happens_at_one_is_known_at_the_other(store: Store) -> None:
    async with store.server("a") as a, store.server("b") as b:
        stream = a.join("p1")
        b.join("p2")
        await until(lambda: a.names() == b.names() == {"p1", "p2"} and a.is_complete() and b.is_complete())
        a.served.instances.leave(stream)
        await until(lambda: a.names() == b.names() == {"p2"} and b.is_complete())


async def test_an_outage_of_the_store_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts nothing is complete; afterwards all is as it became meanwhile."""
    monkeypatch.setattr(shared_fleet, "CURRENT_MS", 100)
    async with store.server("a") as a, store.server("b") as b:
        stream = a.join("p1")
        await until(lambda: b.names() == {"p1"} and b.is_complete())
        store.board.is_away = True
        await until(lambda: not b.is_complete() and not a.is_complete())
        assert b.names() == set()
        a.served.instances.leave(stream)
        a.join("p2")
        store.board.is_away = False
        await until(lambda: b.names() == {"p2"} and b.is_complete())


async def test_what_the_store_lost_is_told_again(store: Store) -> None:
    async with store.server("a") as a, store.server("b"):
        a.join("p1")
        store.board.lose()
        async with store.server("late") as late:
            await until(lambda: late.names() == {"p1"} and late.is_complete())


async def test_what_is_kept_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often something happens; and nobody who listens loses sight of anybody."""
    monkeypatch.setattr(share_fleet, "ANEW_AFTER_WORDS", 20)
    async with store.server("a") as a, store.server("b") as b:
        for _ in range(200):
            a.join("p1")
            await asyncio.sleep(0.002)
            assert len(store.board.words.get(a.replicas.id, ())) <= 23
        await until(lambda: b.names() == {"p1"} and b.is_complete())


async def test_where_it_stands_is_said_when_everybody_was_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hears half of a server's processes must not think that these are all."""
    monkeypatch.setattr(roster, "NEWS_MAX", 2)
    async with store.server("a") as a, store.server("b") as b:
        for number in range(9):
            a.join(f"p{number}")
        await until(lambda: len(b.names()) == 9 and b.is_complete())
        store.board.lose()
        async with store.server("late") as late:
            await until(lambda: len(late.names()) == 9)
        told = [read_fleet_word(data) for _, _, data in store.board.words[a.replicas.id]]
        whole_at = next(at for at, word in enumerate(told) if word.position is not None)
        assert [len(word.news.joined) for word in told[: whole_at + 1]] == [2, 2, 2, 2, 1]


async def test_the_end_tells_the_last_goodbyes(store: Store) -> None:
    """Whoever leaves in the last moment is missed by nobody; whoever does not is, and the server is not waited for."""
    async with store.server("b") as b:
        async with store.server("a") as a:
            leaves, stays = a.join("leaves"), a.join("stays")
            await until(lambda: b.names() == {"leaves", "stays"})
            a.served.instances.leave(leaves)
            a.served.instances.disconnect(stays)
        await until(lambda: [one.greeting.instance_id for one in b.fleet.known()] == ["stays"])
        await until(lambda: [one.has_left for one in b.fleet.peers.values()] == [True])
        await until(lambda: not b.fleet.unheard(0))
        assert not b.is_complete()


async def test_the_end_does_not_wait_for_a_store_that_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_fleet, "END_WITHIN_S", 0.05)
    async with store.server("a") as a:
        a.join("p1")
        store.board.is_away = True


async def test_nobody_is_served_where_the_others_cannot_learn_of_it(store: Store) -> None:
    """At the start the store answers, or there is no start."""
    store.board.is_away = True
    with pytest.raises(Unavailable):
        async with store.server("a"):
            pass


async def test_a_server_that_hangs_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And back when it goes on, without telling everything again."""
    monkeypatch.setattr(peer, "GONE_AFTER_MS", 200)
    async with store.server("a") as a, store.server("b") as b:
        a.join("p1")
        await until(lambda: b.names() == {"p1"} and b.is_complete())
        say: Any = a.replicas._say
        a.replicas._say = hang  # type: ignore[method-assign, assignment] # the real one, on a line that is dead
        await until(lambda: b.names() == set() and not b.fleet.unheard(0))
        a.replicas._say = say  # type: ignore[method-assign]
        await until(lambda: b.names() == {"p1"} and b.is_complete())


def hang(*_words: bytes, **_more: bool) -> None:
    raise Unavailable("redis", "it does not answer")
