"""What a process knows of a history only grows."""

from __future__ import annotations

import pytest

from rollout_server.domain.entries import Head
from rollout_server.errors import Corrupt, Unavailable
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import SharedRedis


async def test_an_older_head_takes_nothing_back(redis: SharedRedis) -> None:
    """The tail may lag behind the commits of its own process."""
    store = await redis_store(await redis.url())
    ground = store.journal("production").ground
    ground.advance(Head(5, b"five"))
    ground.advance(Head(4, b"four"))
    assert ground.known == Head(5, b"five")
    assert ground.beside("log") == "rollout:{production}:log"
    await store.close()


async def test_it_knows_where_the_store_stands(redis: SharedRedis) -> None:
    """With the digests that are asked for, of the beginning too; and says when it is gone, or closed."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    entry = await journal.commit(draft(flag("a")))
    now = await journal.ground.standing(0, 1, 2)
    assert (now.head.revision, now.head.digest, now.digests) == (1, entry.digest, (bytes(32), entry.digest, b""))
    await store.link.command("FLUSHDB")
    with pytest.raises(Corrupt, match="emptied"):
        await journal.ground.standing()
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await journal.ground.standing()
