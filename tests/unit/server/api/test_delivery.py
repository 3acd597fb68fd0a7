"""The listening side of a stream. What streams are told: test_speaking; whole roads: tests/e2e/test_delivery."""

from __future__ import annotations

from pathlib import Path

import grpc

from rollout_sdk.wire.v1 import delivery_pb2
from tests.small_server import flag, http_get, world


async def test_the_way_from_commit_to_process_is_measured(tmp_path: Path) -> None:
    """One observation for each process and revision; a repeated word is none."""
    async with world(tmp_path, http_listen="127.0.0.1:0") as around:
        process = await around.process()
        await process.next()
        await process.acknowledge()
        await process.reach((await around.admin.apply(flag("checkout"))).entry.revision)
        await process.acknowledge()
        await process.goodbye()
        await process.ended()
        _, told = await http_get(around.running.http_address, "/metrics")
        assert 'rollout_lag_seconds_count{environment="production"} 1.0' in told
        assert 'rollout_streams{environment="production"} 0.0' in told


async def test_what_a_later_release_says_is_passed_over(tmp_path: Path) -> None:
    """Old servers and new SDKs keep working."""
    async with world(tmp_path) as around:
        process = await around.process()
        await process.next()
        await process.stream.write(delivery_pb2.WatchRequest.FromString(bytes([0x9A, 0x06, 0x01, 0x78])))
        await process.acknowledge()
        await process.reach((await around.admin.apply(flag("checkout"))).entry.revision)


async def test_whose_token_fell_hears_nothing_more(tmp_path: Path) -> None:
    """Not even the change that took it: a store that knows no token must not empty a process."""
    async with world(tmp_path) as around:
        process = await around.process()
        await process.next()
        held = process.reader.held
        ((_, secret),) = process.metadata
        await around.admin.revoke(secret.split("_")[1])
        assert await process.ended() is grpc.StatusCode.PERMISSION_DENIED
        assert process.reader.held == held
