"""Commits to a Redis that fails at every moment: written once, or not at all, or said to be unknown."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout_server.adapters import redis_journal, redis_link
from rollout_server.adapters.redis_journal import RedisJournal
from rollout_server.adapters.redis_link import Wait
from rollout_server.adapters.redis_scripts import Script
from rollout_server.adapters.redis_store import RedisStore
from rollout_server.domain.entries import Head
from rollout_server.domain.journal import Entry
from rollout_server.errors import Conflict, Corrupt, Unavailable, Unknown
from tests.doubles.faulty_wire import FaultyWire
from tests.journal_world import draft, flag, flag_id, redis_store
from tests.real_redis import SharedRedis, own_redis

COMMIT = b"-- One entry, or nothing"
"""In the text of the script: a script that Redis does not know yet is sent whole."""


@dataclass
class Wired:
    """A store behind a wire that can be spoiled, and another store that is not."""

    wire: FaultyWire
    store: RedisStore
    other: RedisStore
    db: int

    @property
    def journal(self) -> RedisJournal:
        return self.store.journal("production")

    @property
    def beside(self) -> RedisJournal:
        return self.other.journal("production")


@pytest.fixture
async def wired(redis: SharedRedis, tmp_path: Path) -> AsyncIterator[Wired]:
    url = await redis.url()
    db = int(url.rpartition("=")[2])
    wire = FaultyWire(redis.server.path, redis.server.directory / f"wire-{db}.sock")
    await wire.start()
    wired = Wired(wire, await redis_store(wire.url(db)), await redis_store(url), db)
    await wired.store.link.command("SCRIPT", "FLUSH")
    yield wired
    await wired.store.close()
    await wired.other.close()
    await wire.close()
    wire.path.unlink(missing_ok=True)


async def test_an_answer_that_was_lost_is_found_out(wired: Wired) -> None:
    """Redis had written it: the caller gets the entry, and there is one."""
    wired.wire.lose_answer_to = COMMIT
    entry = await wired.journal.commit(draft(flag("a")))
    assert (wired.wire.faults, entry.revision) == (1, 1)
    assert await wired.beside.entries(0, 10) == (entry,)
    assert (await wired.journal.commit(draft(flag("b")))).revision == 2


async def test_a_request_that_comes_late_is_void(wired: Wired) -> None:
    """The caller tried again and succeeded; what the network had kept back writes nothing when it arrives."""
    wired.wire.hold_request = COMMIT
    entry = await wired.journal.commit(draft(flag("a")))
    assert (wired.wire.faults, entry.revision) == (1, 1)
    assert b"void" in await wired.wire.release(wired.db)
    assert await wired.beside.entries(0, 10) == (entry,)


async def test_a_late_request_after_a_failure_is_void_too(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as unknown, settled by the repeat: the first attempt and its repeat make one entry, whichever ran."""
    monkeypatch.setattr(redis_journal, "_SETTLE_PAUSES_S", (0.0,))
    intent = draft(flag("a"), idempotency_key="k", fingerprint="f")
    wired.wire.hold_request, wired.wire.cuts_then = COMMIT, True
    with pytest.raises(Unknown) as refusal:
        await wired.journal.commit(intent)
    assert "may be written, or not" in str(refusal.value)
    assert "same idempotency key" in refusal.value.hint
    assert b"done" in await wired.wire.release(wired.db)
    repeated = await wired.beside.commit(intent)
    assert await wired.beside.entries(0, 10) == (repeated,)


async def test_two_servers_that_race_lose_nothing(wired: Wired) -> None:
    """Heads move under both; every commit is written once, in a log without gaps."""

    async def write(journal: RedisJournal, name: str) -> list[Entry]:
        return [await journal.commit(draft(flag(f"{name}{n}"))) for n in range(40)]

    answers = await asyncio.gather(*(write(j, n) for j, n in ((wired.journal, "a"), (wired.beside, "b"))))
    assert sorted(entry.revision for entries in answers for entry in entries) == list(range(1, 81))
    assert (await wired.journal.verify((await wired.beside.load()).position)).intact


async def test_one_of_two_servers_wins_each_version(wired: Wired) -> None:
    """Compare-and-set holds across servers: of 20 pairs of editors, 20 win."""
    await wired.journal.commit(draft(flag("a")))
    for version in range(1, 21):
        edits = [j.commit(draft(flag("a"), reads={flag_id("a"): version})) for j in (wired.journal, wired.beside)]
        answers = await asyncio.gather(*edits, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Entry"]


async def test_a_store_that_lost_its_tail_takes_no_commit(wired: Wired) -> None:
    """What was decided rests on what was lost: nothing is built upon it until the history has a new name."""
    client = wired.other.link
    await wired.journal.commit(draft(flag("a")))
    keys = await client.command("KEYS", "*")
    dump = {key: await client.command("DUMP", key) for key in keys}
    before = await wired.journal.commit(draft(flag("a", "on")))
    await wired.journal.load()
    await client.command("FLUSHDB")
    for key, value in dump.items():
        await client.command("RESTORE", key, 0, value)
    await client.command("DEL", "rollout:{production}:touched")
    beside = await redis_store(wired.wire.url(wired.db))
    await beside.journal("production").commit(draft(flag("b")))  # a server that started since: revision 2 again
    for _ in range(2):
        with pytest.raises(Unavailable, match="no longer has revision 2"):
            await wired.journal.commit(draft(flag("a"), reads={flag_id("a"): 1}))
        await wired.journal.load()
    position = await wired.journal.renew_epoch()
    assert position.digest != before.digest
    assert (await wired.journal.load()).position == position
    assert (await wired.journal.commit(draft(flag("c")))).revision == 3
    await beside.close()


async def test_of_two_servers_that_find_a_loss_one_renames(wired: Wired) -> None:
    """Two new epochs would send every SDK a snapshot twice."""
    for journal in (wired.journal, wired.beside):
        await journal.load()
    first, second = await asyncio.gather(wired.journal.renew_epoch(), wired.beside.renew_epoch())
    assert first == second


async def test_an_emptied_redis_is_never_taken_for_a_new_one(wired: Wired) -> None:
    """Somebody ran FLUSHALL under a running server: it says so, and starts no second history by itself."""
    await wired.journal.commit(draft(flag("a")))
    await wired.other.link.command("FLUSHDB")
    for question in (wired.journal.load, lambda: wired.journal.commit(draft(flag("b"))), wired.journal.renew_epoch):
        with pytest.raises(Corrupt, match="emptied"):
            await question()
    with pytest.raises(Corrupt, match="emptied"):
        await wired.journal.entries(0, 1)
    assert await wired.other.link.command("DBSIZE") == 0


@pytest.mark.parametrize("name", ["log", "versions", "bodies", "names", "changes:Flag/a", "key:k", "meta"])
async def test_a_key_of_another_type_harms_nothing_else(wired: Wired, name: str) -> None:
    """Refused before the first write of the script, so that no half of an entry is left."""
    await wired.journal.commit(draft(flag("b")))
    key = f"rollout:{{production}}:{name}"
    link = wired.other.link
    kept = await link.command("DUMP", key)
    await link.command("DEL", key)
    await link.command("SET", key, "theirs")
    with pytest.raises(Corrupt):
        await wired.journal.commit(draft(flag("a"), idempotency_key="k", fingerprint="f"))
    await link.command("DEL", key)
    if kept is not None:
        await link.command("RESTORE", key, 0, kept)
    assert sorted((await wired.journal.load()).resources) == [flag_id("b")]
    assert (await wired.journal.verify(None)).intact


async def test_what_somebody_changed_in_redis_is_found_at_the_next_load(wired: Wired) -> None:
    """A resource that was edited, removed or added behind the server's back, or a head that was moved."""
    await wired.journal.commit(draft(flag("a"), flag("b")))
    prefix = "rollout:{production}:"
    link = wired.other.link
    body = await link.command("HGET", f"{prefix}bodies", "Flag/a")
    for mischief in (
        ("HSET", f"{prefix}bodies", "Flag/a", body.replace(b"payments", b"paymentz")),
        ("HDEL", f"{prefix}bodies", "Flag/a"),
        ("HDEL", f"{prefix}versions", "Flag/a"),
        ("HSET", f"{prefix}bodies", "Flag/c", body),
        ("HSET", f"{prefix}meta", "digest", b"x" * 32),
        ("XADD", f"{prefix}log", "7-0", "at_ms", "1", "digest", "x", "body", "y"),
        ("XTRIM", f"{prefix}log", "MAXLEN", "0"),
    ):
        dump = await link.command("DUMP", mischief[1])
        await link.command(*mischief)
        with pytest.raises(Corrupt):
            await wired.journal.load()
        await link.command("RESTORE", mischief[1], 0, dump, "REPLACE")
    await wired.journal.load()


async def test_a_key_whose_entry_is_gone_is_damage(wired: Wired) -> None:
    """A repeat is never answered with nothing."""
    intent = draft(flag("a"), idempotency_key="k", fingerprint="f")
    await wired.journal.commit(intent)
    await wired.other.link.command("XTRIM", "rollout:{production}:log", "MAXLEN", "0")
    with pytest.raises(Corrupt, match="idempotency key"):
        await wired.journal.recall("k", "f")


async def test_a_large_change_is_one_entry(wired: Wired) -> None:
    """5,000 documents: more than fit into one call of Lua's."""
    flags = [flag(f"f{n}") for n in range(5_000)]
    reads = {one.id: 0 for one in flags}
    assert (await wired.journal.commit(draft(*flags, reads=reads))).revision == 1
    assert len((await wired.journal.load()).resources) == 5_000
    with pytest.raises(Conflict) as refusal:
        await wired.journal.commit(draft(flag("z"), reads=reads))
    assert refusal.value.what.count(",") == 4_999
    removal = draft(*(one.id for one in flags), reads={one.id: 1 for one in flags})
    assert (await wired.journal.commit(removal)).revision == 2
    assert (await wired.journal.load()).resources == {}


async def test_full_memory_refuses_changes_and_serves_the_rest() -> None:
    """noeviction: nothing is lost, nothing is half written, and it goes on when there is room again."""
    async with own_redis(maxmemory="1gb") as server:
        store = await redis_store(server.url())
        journal = store.journal("production")
        await journal.commit(draft(flag("a")))
        await store.link.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(Unavailable, match="memory is full") as refusal:
            await journal.commit(draft(flag("b")))
        assert not isinstance(refusal.value, Unknown)
        assert "maxmemory" in refusal.value.hint
        assert (await journal.load()).position.revision == 1
        await store.link.command("CONFIG", "SET", "maxmemory", "0")
        assert (await journal.commit(draft(flag("b")))).revision == 2
        await store.close()


async def test_a_redis_that_hangs_leaves_one_change_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first may run later, the next ones are refused at once, and a repeat makes one entry of all of it."""
    monkeypatch.setattr(redis_link, "ANSWER_S", 0.2)
    monkeypatch.setattr(redis_journal, "_SETTLE_PAUSES_S", (0.0,))
    async with own_redis() as server:
        store = await redis_store(server.url())
        journal = store.journal("production")
        intent = draft(flag("a"), idempotency_key="k", fingerprint="f")
        await journal.commit(draft(flag("z")))
        server.send(signal.SIGSTOP)
        with pytest.raises(Unknown):
            await journal.commit(intent)
        for _ in range(3):
            with pytest.raises(Unavailable) as refusal:
                await journal.commit(draft(flag("b")))
            assert not isinstance(refusal.value, Unknown)
        server.send(signal.SIGCONT)
        entry = await journal.commit(intent)
        assert [each.digest for each in await journal.entries(1, 10)] == [entry.digest]
        await store.close()


async def test_what_replicas_have_not_confirmed_is_unknown_until_they_do() -> None:
    """It is written on the primary, and a failover would lose it; so also for the repeat, until a replica has it."""
    async with own_redis() as server:
        store = await redis_store(server.url(), wait=Wait(1, 20))
        journal = store.journal("production")
        intent = draft(flag("a"), idempotency_key="k", fingerprint="f")
        with pytest.raises(Unknown, match="revision 1 is written") as refusal:
            await journal.commit(intent)
        assert "same idempotency key" in refusal.value.hint
        with pytest.raises(Unknown):
            await journal.commit(intent)
        with pytest.raises(Unknown):
            await journal.recall("k", "f")
        assert await journal.recall("other", "f") is None
        await store.close()


async def test_what_is_so_already_is_confirmed_by_replicas_too() -> None:
    """An answer that writes nothing rests on what was written: unconfirmed it is unknown, lost it is refused."""
    async with own_redis() as server:
        store, hasty = await redis_store(server.url(), wait=Wait(1, 20)), await redis_store(server.url())
        journal = store.journal("production")
        await hasty.journal("production").commit(draft(flag("a")))
        position = (await journal.load()).position
        with pytest.raises(Unknown, match="revision 1 is written"):
            await journal.confirm(position)
        with pytest.raises(Unavailable, match="no longer has revision 1"):
            await journal.confirm(replace(position, digest=bytes(32)))
        assert journal.ground.lost.is_set()
        await hasty.journal("production").confirm(position)
        await hasty.close()
        await store.close()


async def test_an_answer_that_the_tail_overtook_is_no_loss(wired: Wired) -> None:
    """The store had revision 2 when it said that another server was quicker; by now the tail has brought 3."""
    ground = wired.journal.ground
    first = await wired.journal.commit(draft(flag("a")))
    second, third = [await wired.beside.commit(draft(flag(key))) for key in ("b", "c")]
    sent = ground.known
    assert sent is not None
    ground.advance(Head(third.revision, third.digest, third.at_ms))
    wired.journal._take_ground([b"2", second.digest, str(second.at_ms).encode(), b"0", first.digest], sent)
    assert ground.known == Head(third.revision, third.digest, third.at_ms)
    assert not ground.lost.is_set()


async def test_a_load_that_a_commit_overtook_forgets_nothing(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged meanwhile stays known: a store that lost it would not be found out."""
    ask = wired.store.link.ask

    async def overtaken(script: Script, key: str, *arguments: object) -> object:
        answer = await ask(script, key, *arguments)
        monkeypatch.undo()
        await wired.journal.commit(draft(flag("b")))
        return answer

    await wired.journal.commit(draft(flag("a")))
    await wired.journal.load()
    monkeypatch.setattr(wired.store.link, "ask", overtaken)
    assert (await wired.journal.load()).position.revision == 1
    assert wired.journal.ground.known is not None
    assert wired.journal.ground.known.revision == 2
