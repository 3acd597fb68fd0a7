"""Notes in Redis: nobody is harmed where they are lost, cut or foreign."""

from __future__ import annotations

import pytest

from rollout_server.adapters.redis_notes import RedisNotes
from rollout_server.adapters.redis_store import RedisStore
from rollout_server.errors import Corrupt, Refused, Unavailable
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis, own_redis

KEY = "rollout:{production}:notes"


async def kept(store: RedisStore, value: list[str]) -> RedisNotes:
    token = await store.lease("production").acquire()
    assert token is not None
    notes = store.notes("production")
    await notes.save(list(value), token)
    return notes


async def test_what_did_not_change_is_not_sent_again(redis: SharedRedis) -> None:
    """A reader asks once a second; it is told what is new, and that all is gone."""
    store = await redis_store(await redis.url())
    notes = await kept(store, ["a"])
    assert await notes.load() == ["a"]
    await store.link.command("HSET", KEY, "body", '["behind our back, under the old serial"]')
    assert await notes.load() == ["a"]
    assert await store.notes("production").load() != ["a"]
    await store.link.command("DEL", KEY)
    assert await notes.load() is None
    await store.close()


async def test_what_makes_no_sense_is_nothing(redis: SharedRedis) -> None:
    store = await redis_store(await redis.url())
    await kept(store, ["a"])
    await store.link.command("HSET", KEY, "body", '["cut')
    assert await store.notes("production").load() is None
    await store.close()


async def test_a_foreign_key_in_its_place_is_refused_at_the_start(redis: SharedRedis) -> None:
    """As all others are; one that comes later is named and not touched."""
    url = await redis.url()
    store = await redis_store(url)
    await store.link.command("SET", KEY, "x")
    with pytest.raises(Corrupt):
        await store.notes("production").load()
    with pytest.raises(Refused, match="notes is a string"):
        await redis_store(url)
    await store.close()


async def test_an_environment_that_is_gone_and_a_redis_that_is_away_are_said() -> None:
    async with own_redis() as server:
        store = await redis_store(server.url())
        notes = await kept(store, ["a"])
        await store.link.command("DEL", "rollout:{production}:meta")
        with pytest.raises(Corrupt):
            await notes.save([], 1)
        server.kill()
        with pytest.raises(Unavailable):
            await notes.load()
        await store.close()
