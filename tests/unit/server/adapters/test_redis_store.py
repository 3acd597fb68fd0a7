"""A Redis is opened whole, or refused with the reason and left as it was."""

from __future__ import annotations

import pytest

from rollout_server.adapters.redis_store import RedisOptions, open_redis
from rollout_server.errors import InvalidInput, NotFound, Refused, RolloutError, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import SharedRedis

META = "rollout:{production}:meta"


async def content(redis: SharedRedis, url: str) -> dict[str, bytes | None]:
    """Everything in a database, as it is stored."""
    client = redis.server.client(int(url.rpartition("=")[2]))
    found = {str(key): await client.dump(key) for key in await client.keys()}
    await client.aclose()
    return found


@pytest.mark.parametrize(
    ("command", "rule", "words"),
    [
        (("HSET", META, "format", "2"), "store-format", "later release"),
        (("HSET", META, "environment", "staging"), "store-environment", "'staging'"),
        (("HSET", META, "key", "0123456789abcdef"), "server-key", "another server key"),
        (("SET", "rollout:{production}:bodies", "x"), "store-foreign", "is a string of another program"),
        (("DEL", META), "store-foreign", "what belongs to it is not"),
    ],
)
async def test_what_is_not_ours_is_refused_and_left_alone(
    redis: SharedRedis, command: tuple[str, ...], rule: str, words: str
) -> None:
    """Newer data, another environment's, other servers', another program's: each with its own next step."""
    url = await redis.url()
    store = await redis_store(url)
    await store.journal("production").commit(draft(flag("a")))
    await store.link.command(*command)
    before = await content(redis, url)
    with pytest.raises(Refused, match=words) as refusal:
        await redis_store(url)
    assert (refusal.value.rule, bool(refusal.value.hint)) == (rule, True)
    assert await content(redis, url) == before
    await store.close()


async def test_a_foreign_key_in_the_place_of_ours_is_left_alone(redis: SharedRedis) -> None:
    """A hash of another program under our very name."""
    url = await redis.url()
    client = redis.server.client(int(url.rpartition("=")[2]))
    await client.hset(META, "theirs", "1")
    with pytest.raises(Refused, match="is there") as refusal:
        await redis_store(url)
    assert refusal.value.rule == "store-foreign"
    assert await client.hgetall(META) == {b"theirs": b"1"}
    await client.aclose()


async def test_environments_share_a_redis_and_nothing_else(redis: SharedRedis) -> None:
    """Each has its own history, epoch and keys; an unknown one is named."""
    store = await redis_store(await redis.url(), environments=("production", "staging"))
    await store.journal("production").commit(draft(flag("a"), idempotency_key="k", fingerprint="f"))
    here, there = [await store.journal(name).load() for name in ("production", "staging")]
    assert (here.position.revision, there.position.revision) == (1, 0)
    assert here.position.epoch != there.position.epoch
    assert await store.journal("staging").recall("k", "f") is None
    with pytest.raises(NotFound) as refusal:
        store.journal("moon")
    assert "production, staging" in refusal.value.hint
    assert store.journal("staging") is store.journal("staging")
    await store.journal("staging").close()
    await store.journal("production").commit(draft(flag("b")))
    await store.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [("redis://127.0.0.1:1", Unavailable), ("unix:///nowhere/redis.sock", Unavailable), ("http://x", InvalidInput)],
)
async def test_a_redis_that_is_not_there_is_told_with_its_place(url: str, kind: type[RolloutError]) -> None:
    """And no connection is left behind."""
    with pytest.raises(kind) as refusal:
        await redis_store(url)
    assert refusal.value.hint


async def test_a_short_key_vouches_for_nothing() -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match="at least"):
        await open_redis(RedisOptions("redis://127.0.0.1:1"), ["production"], key=b"short", clock=FakeClock())


def test_options_are_shown_without_the_password() -> None:
    """They may be logged."""
    assert "s3cret" not in repr(RedisOptions("redis://:s3cret@example.com"))
