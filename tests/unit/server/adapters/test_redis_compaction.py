"""Compaction beside other servers, and one that was interrupted."""

from __future__ import annotations

import asyncio

from rollout_server.adapters import redis_compaction
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.domain.checkpoint import Sealed
from tests.doubles.fake_clock import START_MS
from tests.journal_world import draft, flag, flag_id, redis_store
from tests.real_redis import SharedRedis


async def test_of_servers_that_compact_at_once_one_counts_each_entry(redis: SharedRedis) -> None:
    """Together they drop what is old, once, and the log verifies."""
    url = await redis.url()
    stores = [await redis_store(url) for _ in range(3)]
    journals = [store.journal("production") for store in stores]
    for n in range(40):
        await journals[0].commit(draft(flag(f"f{n % 7}"), at_ms=START_MS + n))
    dropped = await asyncio.gather(*(journal.compact(START_MS + 30) for journal in journals))
    assert sum(dropped) == 30
    found = await journals[1].verify((await journals[2].load()).position)
    assert (found.intact, found.entries, found.oldest_revision) == (True, 10, 30)
    assert await stores[0].link.command("XLEN", "rollout:{production}:log") == 10
    for store in stores:
        await store.close()


async def test_what_a_crash_left_is_swept_next_time(redis: SharedRedis) -> None:
    """The checkpoint was in force and its entries still there: they are no part of history, and go later."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    for n in range(6):
        await journal.commit(draft(flag(f"f{n}"), at_ms=START_MS + n))
    await journal.commit(draft(flag_id("f0"), at_ms=START_MS + 6))
    link, copy = store.link, await redis_store(await redis.url())
    twin = copy.journal("production")
    for n in range(6):
        await twin.commit(draft(flag(f"f{n}"), at_ms=START_MS + n))
    await twin.compact(START_MS + 3)
    sealed = Sealed(*await copy.link.command("HMGET", "rollout:{production}:checkpoint", "body", "signature"))
    digest = (await journal.entries(2, 1))[0].digest
    arguments = (0, 3, digest, sealed.body, sealed.signature)
    assert await link.ask(scripts.COMPACT, journal.ground.key, *arguments) == 1
    assert await link.command("XLEN", "rollout:{production}:log") == 7
    assert [entry.revision for entry in await journal.history(None, 0, 10)] == [7, 6, 5, 4]
    assert [entry.revision for entry in await journal.history(flag_id("f0"), 0, 10)] == [7]
    assert (await journal.verify(None)).intact
    assert await journal.compact(START_MS) == 0
    assert await link.command("XLEN", "rollout:{production}:log") == 4
    assert await link.ask(scripts.COMPACT, journal.ground.key, *arguments) == 0  # a slower server changes nothing
    await store.close()
    await copy.close()


async def test_long_histories_are_swept_in_slices(redis: SharedRedis) -> None:
    """Redis answers others in between; a resource that is gone from history leaves no key behind."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    slices = redis_compaction.SWEEP_AT_ONCE
    await journal.commit(draft(flag("gone"), at_ms=START_MS))
    await journal.commit(draft(flag_id("gone"), at_ms=START_MS))
    for _ in range(slices + 5):
        await journal.commit(draft(flag("a"), at_ms=START_MS))
    assert await journal.compact(START_MS + 1) == slices + 7
    assert await store.link.command("KEYS", "*changes*") == []
    assert await store.link.command("SMEMBERS", "rollout:{production}:names") == []
    assert (await journal.commit(draft(flag("gone")))).revision == slices + 8
    assert (await journal.verify(None)).intact
    await store.close()
