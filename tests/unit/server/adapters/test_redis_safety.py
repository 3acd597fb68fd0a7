"""A Redis that can lose acknowledged changes is not served from, unless somebody answers for it."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.adapters.redis_link import Wait
from rollout_server.adapters.redis_safety import refuse
from rollout_server.errors import Refused, Unavailable
from tests.journal_world import redis_store
from tests.real_redis import RealRedis, free_port, own_redis

UNSAFE = [
    ({"appendonly": "no"}, "no append-only file", "appendonly yes"),
    ({"appendfsync": "no"}, "appendfsync is `no`", "appendfsync always"),
    ({"no_appendfsync_on_rewrite": "yes"}, "no-appendfsync-on-rewrite is `yes`", "no-appendfsync-on-rewrite no"),
    ({"maxmemory_policy": "allkeys-lru"}, "throws keys away", "noeviction"),
    ({"maxmemory_policy": "volatile-ttl"}, "throws keys away", "noeviction"),
    ({"appendonly": "no", "maxmemory_policy": "allkeys-lru"}, "no append-only file", "noeviction"),
]


@pytest.mark.parametrize(("options", "words", "cure"), UNSAFE)
async def test_an_unsafe_redis_is_refused_with_the_reason(options: dict[str, str], words: str, cure: str) -> None:
    """Everything that is wrong is said at once, with what to set; the override serves, and doctor says what may go."""
    async with own_redis(port=0, **options) as server:
        with pytest.raises(Refused) as refusal:
            await redis_store(server.url())
        assert refusal.value.rule == "redis-unsafe"
        assert words in str(refusal.value)
        assert cure in refusal.value.hint
        assert "redis_accept_data_loss" in refusal.value.hint
        assert await keys_of(server) == 0
        store = await redis_store(server.url(), accept_data_loss=True)
        safety = await store.safety()
        await store.close()
    assert not safety.is_durable
    assert "may be lost" in safety.durability or "may take" in safety.durability


async def test_a_safe_one_says_how_durable_it_is() -> None:
    """Each second or each write: the difference is a loss of power, and it is said."""
    async with own_redis() as server:
        store = await redis_store(server.url())
        safety = await store.safety()
        assert safety.is_durable
        assert safety.durability.endswith("append-only file, appendfsync=always")
        client = server.client()
        await client.config_set("appendfsync", "everysec")
        safety = await store.safety()
        assert not safety.is_durable
        assert "may take the last second or two" in safety.durability
        refuse(safety, "Redis", accept_data_loss=False)
        await client.aclose()
        await store.close()


async def test_what_a_failover_may_lose_is_said() -> None:
    """Nothing where there is nothing to fail over to, or where enough replicas confirm; else what, and the cure."""
    async with own_redis(port=free_port()) as server:
        assert await failover(server, 0) == ("", "")
        found, cure = await failover(server, 2)
        assert found == "each change waits for 2 to confirm it, and no replicas are connected: so each one is unknown"
        assert "redis_wait_replicas lower" in cure
        async with own_redis(port=free_port(), replicaof=f"127.0.0.1 {server.port}"):
            async with asyncio.timeout(20), server.client() as client:
                while (await client.info("replication"))["connected_slaves"] != 1:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
            found, cure = await failover(server, 0)
            assert found.startswith("1 replica is connected and not waited for: a failover may lose changes")
            assert "redis_wait_replicas to 1" in cure
            found, cure = await failover(server, 1)
            assert (found.endswith("loses nothing"), cure) == (True, "")


async def failover(server: RealRedis, wait: int) -> tuple[str, str]:
    store = await redis_store(server.url(), wait=Wait(wait, 20))
    safety = await store.safety()
    await store.close()
    return safety.failover, safety.failover_cure


async def test_a_replica_is_refused() -> None:
    """It takes no writes; the hint says whom to name."""
    async with own_redis() as server:
        client = server.client()
        await client.replicaof("127.0.0.1", 1)
        with pytest.raises(Refused) as refusal:
            await redis_store(server.url(), accept_data_loss=True)
        await client.aclose()
    assert refusal.value.rule == "redis-replica"
    assert "redis+sentinel://" in refusal.value.hint


async def test_cluster_mode_is_refused() -> None:
    """The override does not help: it would not work."""
    async with own_redis(cluster_enabled="yes", port=free_port()) as server:
        with pytest.raises(Refused) as refusal:
            await redis_store(server.url(), accept_data_loss=True)
    assert refusal.value.rule == "redis-cluster"


async def test_a_user_who_may_not_read_the_configuration_is_told() -> None:
    """What cannot be seen is not taken for safe."""
    async with own_redis() as server:
        client = server.client()
        await client.acl_setuser("default", enabled=True, commands=["-config"], keys=["*"], nopass=True)
        with pytest.raises(Refused, match="nobody knows"):
            await redis_store(server.url())
        await client.aclose()


async def test_a_wrong_password_is_told_as_such() -> None:
    """Not as a Redis that is away."""
    async with own_redis(requirepass="right") as server:
        url = server.url().replace("unix://", "unix://:wrong@")
        with pytest.raises(Unavailable, match="password") as refusal:
            await redis_store(url)
        assert "wrong@" not in str(refusal.value)
        store = await redis_store(server.url().replace("unix://", "unix://:right@"))
        await store.close()


async def keys_of(server: RealRedis) -> int:
    client = server.client()
    count = await client.dbsize()
    await client.aclose()
    return int(count)
