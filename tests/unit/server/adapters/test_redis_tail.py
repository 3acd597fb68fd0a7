"""Following the log across restarts, losses and new names: every entry once, or a refusal that says to load again."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.adapters import redis_tail
from rollout_server.adapters.redis_journal import RedisJournal
from rollout_server.domain.journal import Entry
from rollout_server.errors import Conflict, Corrupt, NotFound, Unavailable
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import SharedRedis, own_redis


async def take(journal: RedisJournal, after: int, count: int) -> list[Entry]:
    found: list[Entry] = []
    async for entry in journal.tail(after):
        found.append(entry)
        if len(found) == count:
            break
    return found


async def test_what_another_server_writes_arrives(redis: SharedRedis) -> None:
    """Each entry once and in order, also from several tails at once."""
    url = await redis.url()
    here, there = await redis_store(url), await redis_store(url)
    following = [asyncio.create_task(take(here.journal("production"), 0, 30)) for _ in range(3)]
    for n in range(30):
        await there.journal("production").commit(draft(flag(f"f{n}")))
    for found in await asyncio.gather(*following):
        assert [entry.revision for entry in found] == list(range(1, 31))
    await here.close()
    await there.close()


async def test_a_quiet_log_is_asked_again(redis: SharedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that found nothing is followed by another one."""
    monkeypatch.setattr(redis_tail, "BLOCK_MS", 1)
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    following = asyncio.create_task(take(journal, 0, 1))
    for _ in range(200):
        await asyncio.sleep(0)
    entry = await journal.commit(draft(flag("a")))
    assert await following == [entry]
    await store.close()


async def test_a_restart_ends_it_and_loses_nothing() -> None:
    """Unavailable, then on from where it was: what was acknowledged is there."""
    async with own_redis() as server:
        store = await redis_store(server.url())
        journal = store.journal("production")
        await journal.commit(draft(flag("a")))
        following = asyncio.create_task(take(journal, 1, 1))
        await asyncio.sleep(0)
        server.kill()
        with pytest.raises(Unavailable):
            await following
        server.start()
        await server.ready()
        entry = await journal.commit(draft(flag("b")))
        assert await take(journal, 1, 1) == [entry]
        await store.close()


async def test_a_new_epoch_ends_it_wherever_it_was_made(redis: SharedRedis) -> None:
    """Another server renamed the history; who waits here is woken at once."""
    url = await redis.url()
    here, there = await redis_store(url), await redis_store(url)
    await here.journal("production").load()
    following = asyncio.create_task(take(here.journal("production"), 0, 1))
    await asyncio.sleep(0)
    await there.journal("production").renew_epoch()
    with pytest.raises(Conflict, match="epoch"):
        await following
    await here.close()
    await there.close()


async def test_a_loss_that_a_commit_finds_ends_the_tail_too(redis: SharedRedis) -> None:
    """Nobody waits for the next entry of a history that is gone."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    await journal.commit(draft(flag("a")))
    following = asyncio.create_task(take(journal, 1, 1))
    await asyncio.sleep(0)
    await store.link.command("HSET", "rollout:{production}:meta", "revision", "0", "digest", bytes(32))
    with pytest.raises(Unavailable, match="no longer has"):
        await journal.commit(draft(flag("b")))
    with pytest.raises(NotFound):
        await following
    await store.close()


async def test_an_entry_that_does_not_follow_is_damage(redis: SharedRedis) -> None:
    """The chain is checked as it is read."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    await journal.commit(draft(flag("a")))
    log = "rollout:{production}:log"
    body = (await store.link.command("XRANGE", log, "1-0", "1-0"))[0][1][5]
    words = ("at_ms", "1", "digest", b"x" * 32, "body", body.replace(b'"revision":1', b'"revision":2'))
    await store.link.command("XADD", log, "2-0", *words)
    with pytest.raises(Corrupt, match="entry 2"):
        await take(journal, 1, 1)
    await store.close()


async def test_a_primary_that_became_a_replica_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says may be old; reads go on from memory until the new primary is found."""
    monkeypatch.setattr(redis_tail, "BLOCK_MS", 20)
    async with own_redis() as server:
        store = await redis_store(server.url())
        journal = store.journal("production")
        await journal.commit(draft(flag("a")))
        following = asyncio.create_task(take(journal, 1, 1))
        await asyncio.sleep(0)
        await store.link.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(Unavailable, match="replica"):
            await following
        with pytest.raises(Unavailable, match="replica"):
            await take(journal, 0, 1)
        with pytest.raises(Unavailable, match="replica"):
            await journal.commit(draft(flag("b")))
        await store.close()
