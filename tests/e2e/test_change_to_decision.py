"""From a change to a decision in another process: the real server, the real SDK, the real wire."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.small_server import (
    Person,
    admin_of,
    channel_to,
    flag,
    free_port,
    process_on,
    states,
    world,
)

CHILD = Path(__file__).with_name("sdk_child.py")


@dataclass
class Child:
    """A process that decides."""

    process: asyncio.subprocess.Process

    async def decides(self, **wanted: Any) -> dict[str, Any]:
        """Wait until it decides so."""
        assert self.process.stdout is not None
        while True:
            line = await self.process.stdout.readline()
            assert line, "the child ended"
            decision: dict[str, Any] = json.loads(line)
            if wanted.items() <= decision.items():
                return decision


@asynccontextmanager
async def deciding(address: str, token: str, snapshot: Path) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        address,
        token,
        "checkout",
        str(snapshot),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Child(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def in_force(person: Person) -> list[pb.Instance]:
    """Return the processes once each of them has the present revision in force."""
    while True:
        instances = await person.instances()
        if instances and set(states(instances).values()) == {"IN_FORCE"}:
            return instances


async def test_a_change_and_a_kill_reach_a_process_that_decides(tmp_path: Path) -> None:
    """Apply, kill and unkill, each seen in decisions, and each proven to be in force."""
    async with world(tmp_path / "server") as around:
        await around.admin.apply(flag("checkout"))
        token = await around.running.token("sdk")
        async with deciding(around.running.address, token, tmp_path / "snapshot") as child:
            await child.decides(value=False, reason="default")
            changed = await around.admin.apply(flag("checkout", "on"))
            await child.decides(value=True, revision=changed.entry.revision)
            killed = await around.admin.kill("checkout")
            await child.decides(value=False, reason="killed", revision=killed.entry.revision)
            (instance,) = await in_force(around.admin)
            assert (instance.service, instance.in_force.revision) == ("child", killed.entry.revision)
            await around.admin.unkill("checkout")
            await child.decides(value=True, reason="default")
        assert await around.admin.instances() == [], "it said goodbye"


async def test_a_process_follows_across_a_crash_of_the_server(tmp_path: Path) -> None:
    """It decides on while the server is gone, and takes what the next one says, in the same epoch."""
    data = tmp_path / "server"
    port = free_port()
    async with process_on(data, port, log_level="error") as server, channel_to(server.address) as channel:
        admin = await admin_of(data, channel)
        await admin.apply(flag("checkout", "on"))
        token = (await admin.token("sdk")).secret
        async with deciding(server.address, token, tmp_path / "snapshot") as child:
            before = await child.decides(value=True)
            await server.end(kill=True)
            async with process_on(data, port, log_level="error"):
                admin = await admin_of(data, channel)
                killed = await admin.kill("checkout")
                after = await child.decides(reason="killed", revision=killed.entry.revision)
                assert after["epoch"] == before["epoch"]
