"""What is restored into Redis lies there as a server would have put it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from rollout_server.adapters import redis_telemetry_restore
from rollout_server.domain import telemetry as telemetry_module
from tests.backup_world import Room, fill_journal, fill_telemetry, report
from tests.real_redis import SharedRedis


async def raw(client: Redis, pattern: str = "rollout:*:telemetry*") -> dict[bytes, Any]:
    """Every key, with all that is in it."""
    found: dict[bytes, Any] = {}
    async for key in client.scan_iter(pattern):
        match await client.type(key):
            case b"hash":
                found[key] = await client.hgetall(key)
            case b"set":
                found[key] = await client.smembers(key)
            case b"zset":
                found[key] = sorted(await client.zrange(key, 0, -1, withscores=True))
            case other:
                raise AssertionError(f"{key!r} is a {other!r}")
    return found


async def test_every_key_is_as_it_was(redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of the file, with samples that were cut and more units than fit into one command."""
    monkeypatch.setattr(telemetry_module, "UNITS_MAX", 100)
    monkeypatch.setattr(redis_telemetry_restore, "AT_ONCE", 20)
    room, urls = Room(tmp_path, redis), [await redis.url(), await redis.url()]
    clients = [redis.server.client(int(url.rpartition("=")[2])) for url in urls]
    async with room.opened("redis", "source", redis_url=urls[0]) as stores:
        reports = [report(random.Random(seed), f"t/{seed % 200}", seed + 1) for seed in range(600)]  # noqa: S311 - a test's
        await fill_journal(stores.journal("production"))
        await fill_telemetry(await stores.telemetry("production"), reports, 2**52)
        await stores.backup(tmp_path / "backup.db")
    async with room.opened("redis", "target", redis_url=urls[1], restore=tmp_path / "backup.db"):
        pass
    before, after = [await raw(client) for client in clients]
    assert len(before[b"rollout:{production}:telemetry:instances"]) == 200
    assert any(len(each) > 40 for key, each in before.items() if key.endswith(b":units"))
    assert after == before
    for client in clients:
        await client.aclose()
