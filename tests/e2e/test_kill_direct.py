"""`rollout kill --direct` on a real Redis: after every server died, and while one lives."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout_sdk import Client, Context
from rollout_server.adapters.redis_store import RedisOptions, open_standing
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId
from rollout_server.stores import KEY_FILE
from tests.real_redis import own_redis
from tests.small_server import Person, ServerProcess, admin_of, bearer, channel_to, flag, free_port, serving

pytestmark = pytest.mark.timeout(180)

USER = Context("u-1")
WITHIN_S = 60.0


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110 - the SDK's own threads see to it
            await asyncio.sleep(0.02)


async def type_(*words: str) -> tuple[int, str]:
    """Type a command on a machine that knows nothing of any server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROLLOUT_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout_server", *words, env={**kept, "ROLLOUT_CONFIG": "/nonexistent"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_sdks_obey_as_soon_as_any_server_is_back(tmp_path: Path) -> None:
    """All servers are killed, the flag is killed on Redis, another server starts: the process serves `off`."""
    port = free_port()
    async with own_redis() as redis, ServerProcess(tmp_path / "a", port, redis_url=redis.url()) as first:
        await first.start()
        async with channel_to(first.address) as channel:
            admin = await admin_of(tmp_path / "a", channel)
            await admin.apply(flag("checkout", "on"))
            token = (await admin.token("sdk")).secret
        with Client(first.address, token=token) as client:
            await until(lambda: client.enabled("checkout", USER))
            await first.end(kill=True)
            code, told = await type_("kill", "checkout", "--direct", redis.url(), "--as", "mia@example.com")
            assert (code, "is killed in the store" in told) == (5, True), told
            assert client.enabled("checkout", USER), "no server has told anybody yet"
            (tmp_path / "b").mkdir()
            (tmp_path / "b" / KEY_FILE).write_bytes((tmp_path / "a" / KEY_FILE).read_bytes())
            async with ServerProcess(tmp_path / "b", port, redis_url=redis.url()) as second:
                await second.start()
                await until(lambda: not client.enabled("checkout", USER, default=True))
                words = ("--server", second.address, "--token", admin_token(tmp_path / "a"))
                code, told = await type_("kill", "checkout", *words)
                assert (code, "killed already" in told, "1 of 1 process" in told) == (0, True, True), told
                code, told = await type_("history", "checkout", *words)
                assert "mia@example.com" in told


def admin_token(data: Path) -> str:
    return (data / "first-admin-token").read_text(encoding="ascii").strip()


async def test_beside_a_living_server_neither_loses_anything(tmp_path: Path) -> None:
    """Both write to the flag as fast as they can: each change is in the log once, in one chain, and both see all."""
    async with own_redis() as redis, serving(tmp_path, redis_url=redis.url()) as running:
        token = await running.token("admin")
        async with channel_to(running.address) as channel:
            admin = Person(channel, bearer(token))
            await admin.apply(flag("checkout", "on"))
            is_over, undone = asyncio.Event(), 0

            async def undo() -> None:
                nonlocal undone
                while not is_over.is_set():
                    undone += bool((await admin.unkill("checkout")).entry.revision)

            undoing = asyncio.create_task(undo())
            done = [await type_("kill", "checkout", "--direct", redis.url(), "--no-wait") for _ in range(4)]
            is_over.set()
            await undoing
            assert [code for code, _ in done] == [0] * 4, done
            assert all("a server uses this store" in " ".join(told.split()) for _, told in done)
            written = sum("is killed in the store" in told for _, told in done)
            await type_("kill", "checkout", "--direct", redis.url(), "--no-wait")
            store, _ = await open_standing(RedisOptions(redis.url()), "production", SystemClock())
            entries = await store.journal("production").history(ResourceId(Kind.FLAG, "checkout"), 0, 1_000)
            await store.close()
            actions = [entry.action for entry in entries]
            assert actions.count("unkill") == undone
            assert actions.count("kill") - written in {0, 1}, "the last kill may have found it killed"
            environment = running.served["production"].environment
            await environment.wait_for(entries[0].revision)
            status = environment.state.resources[ResourceId(Kind.FLAG, "checkout")].status
            assert isinstance(status, FlagStatus)
            assert status.killed
            assert (await environment.journal.verify(environment.position)).intact
