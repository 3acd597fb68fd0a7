"""What servers tell each other in Redis: a Redis that is emptied, restarted, trimmed, foreign or away harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.adapters import redis_fleet
from rollout_server.adapters.redis_fleet import RedisReplicas
from rollout_server.adapters.redis_store import RedisStore
from rollout_server.domain.replicas import Replica, Roll, Spot
from rollout_server.errors import Corrupt, Refused, Unavailable
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis, own_redis

PREFIX = "rollout:{production}:"
FLEET = f"{PREFIX}fleet"


def the_other(roll: Roll) -> Replica:
    (other,) = roll.replicas
    return other


async def stream_of(store: RedisStore, server: RedisReplicas) -> str:
    return f"{PREFIX}fleet:{server._id}"


async def test_every_key_expires(redis: SharedRedis) -> None:
    """An environment that nobody serves any more keeps nothing of its servers."""
    store = await redis_store(await redis.url())
    server = store.replicas("production")
    await server.begin("a", b"1")
    for key in (FLEET, await stream_of(store, server)):
        assert 3_600_000 < int(await store.link.command("PTTL", key)) <= 3_900_000
    await store.close()


async def test_what_was_lost_is_begun_anew(redis: SharedRedis) -> None:
    """Emptied, cut at either end, or replaced by another's: whoever told it learns of it with its next word."""
    store = await redis_store(await redis.url())
    a, b = store.replicas("production"), store.replicas("production")
    stream = await stream_of(store, a)
    for mischief in (
        ("DEL", stream),
        ("XTRIM", stream, "MAXLEN", 1),
        ("XTRIM", stream, "MAXLEN", 0),
        ("XADD", stream, "9000000000000-1", "word", "x"),
    ):
        await a.begin("a", b"1")
        assert (await a.tell(b"2", b"3")).is_whole
        await store.link.command(*mischief)
        lost = await a.tell(b"4")
        assert not lost.is_whole
        assert (await a.begin("a", b"anew")).is_whole
        other = the_other(await b.begin("b", b"x"))
        assert [word.data for word in await b.hear({other.id: Spot()})] == [b"anew"]
    await store.close()


async def test_a_word_that_is_said_twice_is_told_once(redis: SharedRedis) -> None:
    """Where the first answer was lost, it is asked again."""
    store = await redis_store(await redis.url())
    server = store.replicas("production")
    begun = await server.begin("a", b"1")
    await server.tell(b"2", b"3")
    server._told = begun.own
    assert (await server.tell(b"2", b"3")).own == Spot(begun.own.run, 3)
    assert await store.link.command("XLEN", await stream_of(store, server)) == 3
    await store.close()


async def test_a_restart_of_redis_keeps_what_was_told() -> None:
    """And one that is away is said so, by telling and by hearing."""
    async with own_redis() as server:
        store = await redis_store(server.url())
        a, b = store.replicas("production"), store.replicas("production")
        await a.begin("a", b"1")
        other = the_other(await b.begin("b", b"x"))
        server.kill()
        with pytest.raises(Unavailable):
            await a.tell(b"2")
        with pytest.raises(Unavailable):
            await b.hear({other.id: Spot()})
        server.start()
        await server.ready()
        assert (await a.tell(b"2")).is_whole
        assert [word.data for word in await b.hear({other.id: Spot()})] == [b"1", b"2"]
        await store.close()


async def test_foreign_keys_are_named_and_not_touched(redis: SharedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is looked at when the store is opened; a stream of one server harms the hearing of no other."""
    monkeypatch.setattr(redis_fleet, "BLOCK_MS", 10)
    url = await redis.url()
    store = await redis_store(url)
    a, b, c = (store.replicas("production") for _ in range(3))
    for server in (a, b):
        await server.begin("x", b"1")
    ids = [one.id for one in (await c.begin("c", b"1")).replicas]
    foreign = await stream_of(store, a)
    await store.link.command("SET", foreign, "theirs")
    with pytest.raises(Corrupt):
        await a.tell(b"2")
    assert {word.replica for word in await c.hear(dict.fromkeys(ids, Spot()))} == {b._id}
    assert await c.hear({a._id: Spot()}) == ()
    assert await store.link.command("GET", foreign) == b"theirs"
    await store.link.command("DEL", FLEET)
    await store.link.command("SET", FLEET, "theirs")
    with pytest.raises(Corrupt):
        await b.tell(b"2")
    with pytest.raises(Refused, match="fleet is a string"):
        await redis_store(url)
    await store.close()


async def test_an_environment_that_is_gone_is_not_made_by_a_sign_of_life(redis: SharedRedis) -> None:
    """Else an emptied Redis would look foreign to the next start."""
    store = await redis_store(await redis.url())
    server = store.replicas("production")
    await server.begin("a", b"1")
    await store.link.command("FLUSHDB")
    with pytest.raises(Corrupt):
        await server.tell()
    assert await store.link.command("DBSIZE") == 0
    await store.close()


async def test_servers_that_are_too_many_or_too_old_are_forgotten(
    redis: SharedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is told, for an hour; nobody has to be told of the second."""
    monkeypatch.setattr(redis_fleet, "REPLICAS_MAX", 2)
    store = await redis_store(await redis.url())
    servers = [store.replicas("production") for _ in range(4)]
    rolls = []
    for number, server in enumerate(servers):
        rolls.append(await server.begin(str(number), b"1"))
        await asyncio.sleep(0.002)
    assert [roll.forgot_ms_ago is None for roll in rolls] == [True, True, False, False]
    assert [len(roll.replicas) for roll in rolls] == [0, 1, 1, 1]
    monkeypatch.setattr(redis_fleet, "REMEMBERED_MS", 0)
    await asyncio.sleep(0.002)
    roll = await servers[3].begin("3", b"1")
    assert (roll.replicas, roll.forgot_ms_ago) == ((), None)
    await store.close()


async def test_lines_that_make_no_sense_are_nobody(redis: SharedRedis) -> None:
    """Also those of a later release."""
    store = await redis_store(await redis.url())
    server = store.replicas("production")
    for line in ("", "x", "1 2 3", "a b c d e f", "\xff"):
        await store.link.command("HSET", FLEET, f"id-{line}", line)
    assert (await server.begin("a", b"1")).replicas == ()
    assert (await server.tell()).replicas == ()
    await store.close()
