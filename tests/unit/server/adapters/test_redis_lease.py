"""The lease passes on when its holder stands still, by whichever clock says so first."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.errors import Conflict, Corrupt, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import SharedRedis, own_redis


async def test_a_holder_that_moves_keeps_it(redis: SharedRedis) -> None:
    """However long others ask."""
    clock = FakeClock()
    store = await redis_store(await redis.url(), clock)
    first, second = store.lease("production"), store.lease("production")
    token = await first.acquire()
    for _ in range(10):
        clock.advance(first.term_ms - 1)
        assert await second.acquire() is None
        assert await first.renew()
    assert await first.acquire() == token
    await store.close()


async def test_a_clock_that_stands_still_in_redis_delays_nobody(redis: SharedRedis) -> None:
    """The clock of Redis went back an hour, so the key would live for one: who waits goes by their own clock."""
    clock = FakeClock()
    store = await redis_store(await redis.url(), clock)
    first, second = store.lease("production"), store.lease("production")
    old = await first.acquire()
    await store.link.command("PEXPIRE", "rollout:{production}:lease", 3_600_000)
    assert await second.acquire() is None
    clock.advance(second.term_ms)
    new = await second.acquire()
    assert old is not None
    assert new is not None
    assert new > old
    assert not await first.renew()
    await store.close()


async def test_a_key_that_ran_out_is_free(redis: SharedRedis) -> None:
    """Whoever starts after a crash of all need not watch a lease that nobody holds."""
    store = await redis_store(await redis.url())
    first, second = store.lease("production"), store.lease("production", term_ms=1)
    old = await first.acquire()
    await store.link.command("DEL", "rollout:{production}:lease")
    assert await first.renew()  # late, and nobody was there
    await store.link.command("DEL", "rollout:{production}:lease")
    assert (await second.acquire() or 0) > (old or 0)
    assert not await first.renew()
    await store.close()


async def test_a_token_that_a_failover_lost_never_comes_again(redis: SharedRedis) -> None:
    """The store forgot the last token: the next one is above it all the same, and so the old holder writes nothing."""
    store = await redis_store(await redis.url())
    first, second = store.lease("production"), store.lease("production")
    lost = await first.acquire() or 0
    await store.link.command("HSET", "rollout:{production}:meta", "fence", "0")
    await store.link.command("DEL", "rollout:{production}:lease")
    assert (await second.acquire() or 0) > lost
    with pytest.raises(Conflict, match="lease"):
        await store.journal("production").commit(draft(flag("a"), fence=lost))
    await store.close()


async def test_two_environments_have_two_leases(redis: SharedRedis) -> None:
    """One controller may hold one and not the other."""
    store = await redis_store(await redis.url(), environments=("production", "staging"))
    assert await store.lease("production").acquire()
    assert await store.lease("staging").acquire()
    await store.close()


async def test_without_redis_nobody_is_told_to_hold_it() -> None:
    """Neither that it is held nor that it is lost; and a Redis that was emptied is said to be."""
    async with own_redis() as server:
        store = await redis_store(server.url())
        lease = store.lease("production")
        assert not await lease.renew()
        assert await lease.acquire()
        await store.link.command("FLUSHALL")
        assert not await lease.renew()
        with pytest.raises(Corrupt, match="emptied"):
            await lease.acquire()
        server.kill()
        with pytest.raises(Unavailable):
            await lease.acquire()
        await store.close()
        await asyncio.sleep(0)
