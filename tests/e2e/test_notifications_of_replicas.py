"""Two servers on one Redis are one voice: each message once, and none lost with the server that tells."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.stores import KEY_FILE
from tests.doubles.hook_server import HANG, HookServer, hooks
from tests.real_redis import own_redis
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, free_port, http_get

pytestmark = pytest.mark.timeout(180)

WITHIN_S = 60.0
LEASE_MS = 900


@dataclass
class Replica:
    """One server, and somebody who types there."""

    process: ServerProcess
    http: str
    person: Person

    async def leads(self) -> bool:
        """Whether it holds the lease, by its own figures."""
        _, text = await http_get(self.http, "/metrics")
        return 'rollout_lease_held{environment="production"} 1.0' in text

    async def told(self) -> list[str]:
        """Who was told what, as this server knows."""
        answer = await self.person.stub.ListEvents(pb.ListEventsRequest(), metadata=self.person.metadata)
        return [phrase for event in answer.events for phrase in event.deliveries]

    async def until_told(self, phrase: str, count: int) -> None:
        """Wait until it knows of so many messages that they came to this."""
        async with asyncio.timeout(WITHIN_S):
            while await self.told() != [phrase] * count:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)


@asynccontextmanager
async def replicas(home: Path, hook: HookServer) -> AsyncIterator[list[Replica]]:
    """Two servers that may reach loopback, and a rollout that is ready to start."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(own_redis())
        found: list[Replica] = []
        for name in ("a", "b"):
            data, http = home / name, f"127.0.0.1:{free_port()}"
            data.mkdir()
            if found:
                (data / KEY_FILE).write_bytes((home / "a" / KEY_FILE).read_bytes())
            options = {"redis_url": redis.url(), "lease_ms": LEASE_MS, "channel_allow_private": "127.0.0.1"}
            process = ServerProcess(data, free_port(), http_listen=http, tick_ms=200, **options)
            await stack.enter_async_context(process)
            await process.start()
            channel = await stack.enter_async_context(channel_to(process.address))
            await asyncio.wait_for(channel.channel_ready(), WITHIN_S)
            person = Person(channel, found[0].person.metadata) if found else await admin_of(data, channel)
            found.append(Replica(process, http, person))
        stages = [{"name": "canary", "share": "1%", "soak": "1h"}, {"name": "half", "share": "50%", "soak": "1h"}]
        await found[0].person.apply(
            document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
            document("Channel", "pager", {"webhook": f"http://127.0.0.1:{hook.port}/"}),
            document("Pipeline", "careful", {"stages": stages, "escalation": [{"after": "0m", "notify": "pager"}]}),
            document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
        )
        yield found


async def until_leading(one: Replica) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await one.leads():  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def by_role(found: Sequence[Replica]) -> tuple[Replica, Replica]:
    """The server that leads, and the other."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            leading = [await one.leads() for one in found]
            if sum(leading) == 1:
                return found[leading.index(True)], found[leading.index(False)]
            await asyncio.sleep(0.05)


async def start(person: Person) -> None:
    await person.stub.StartRollout(pb.StartRolloutRequest(rollout="launch"), metadata=person.metadata)


def kinds(hook: HookServer) -> Counter[tuple[str, int]]:
    """What came how often."""
    told = [json.loads(one.body) for one in hook.requests]
    return Counter((one["kind"], one["run"]) for one in told)


async def until_came(hook: HookServer, kind: str, run: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not kinds(hook)[kind, run]:
            await hook.wait(len(hook.requests) + 1)


async def test_each_message_comes_once_whoever_leads(tmp_path: Path) -> None:
    """From commands at either server; after a clean stop the other goes on; both know who was told."""
    async with hooks() as hook, replicas(tmp_path, hook) as found:
        leader, other = await by_role(found)
        await start(other.person)
        await until_came(hook, "started", 1)
        await leader.person.kill("checkout")
        await until_came(hook, "killed", 1)
        for one in found:
            await one.until_told("pager: delivered", 2)
        code, said = await leader.process.end(kill=False)
        assert code == 0, said
        await other.person.unkill("checkout")
        await start(other.person)
        await until_came(hook, "started", 2)
        assert kinds(hook) == Counter({("started", 1): 1, ("killed", 1): 1, ("started", 2): 1})


async def test_what_a_killed_leader_left_is_told_by_the_next(tmp_path: Path) -> None:
    """One message was on its way, one was not begun: both come, under their ids; what was told does not come again."""
    async with hooks() as hook, replicas(tmp_path, hook) as found:
        leader, other = await by_role(found)
        await start(other.person)
        await other.until_told("pager: delivered", 1)
        hook.answers = [HANG]
        await other.person.kill("checkout")
        await until_came(hook, "killed", 1)
        await leader.process.end(kill=True)
        await other.person.unkill("checkout")
        await start(other.person)  # before anybody has the lease
        await other.until_told("pager: delivered", 3)
        assert await other.leads()
        assert kinds(hook) == Counter({("started", 1): 1, ("killed", 1): 2, ("started", 2): 1})
        assert len({one.headers["rollout-id"] for one in hook.requests}) == 3
