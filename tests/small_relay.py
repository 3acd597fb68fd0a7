"""A server, a relay that follows it over a line that a test can cut, and SDKs behind the relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout_sdk import Client, Context, Settings
from rollout_server.app.instance import Certificate
from rollout_server.relay import RunningRelay, start_relay
from tests.doubles.tcp_proxy import TcpProxy
from tests.small_server import World, settings

WAIT_S = 60
USER = Context("u-1")


async def until(holds: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other threads and processes
            await asyncio.sleep(0.005)


def sdk_secret(house: World) -> str:
    """The token that the processes of these tests come with."""
    return dict(house.sdk)["authorization"].removeprefix("Bearer ")


@dataclass
class Region:
    """What is far away from the server.

    Attributes:
        house: the server.
        line: between the two.
        secret: of the relay.
        data: of the relay.
    """

    house: World
    line: TcpProxy
    secret: str
    data: Path
    clients: list[Client] = field(default_factory=list)

    def cut(self) -> None:
        """Nothing passes any more."""
        self.line.is_hole = True
        self.line.cut()

    def mend(self) -> None:
        """Everything passes again; what was swallowed is not kept waiting for."""
        self.line.is_hole = False
        self.line.cut()

    @asynccontextmanager
    async def relay(self, **options: Any) -> AsyncIterator[RunningRelay]:
        """Run the relay; again, if it ran before."""
        about = {"upstream": self.line.target, "upstream_token": self.secret, "relay_name": "eu"}
        async with start_relay(settings(self.data, **about, **options)) as running:
            yield running

    async def client(self, target: str, secret: str = "", **options: Any) -> Client:
        """A process with the real SDK."""
        quick = {"backoff_base_ms": 20, "backoff_max_ms": 100, "report_every_ms": 100}
        token = secret or sdk_secret(self.house)
        about: dict[str, Any] = {"token": token, "service": "shop", **quick, **options}
        client = await asyncio.to_thread(lambda: Client.of(Settings(target, **about)))
        self.clients.append(client)
        return client

    async def ready(self, target: str, **options: Any) -> Client:
        """A process that decides by rules."""
        client = await self.client(target, **options)
        assert await asyncio.to_thread(client.wait_until_ready, WAIT_S)
        return client

    def certificate(self) -> Certificate:
        """Of the server's present revision."""
        served = self.house.running.served["production"]
        return served.instances.certificate(served.environment.position.revision)

    async def close(self) -> None:
        """Let every process say goodbye."""
        for client in self.clients:
            await asyncio.to_thread(client.close)


@asynccontextmanager
async def region_of(house: World, data: Path) -> AsyncIterator[Region]:
    """A region of this server."""
    secret = (await house.admin.token("relay")).secret
    async with AsyncExitStack() as stack:
        line = stack.enter_context(TcpProxy(house.running.address))
        region = Region(house, line, secret, data)
        stack.push_async_callback(region.close)
        yield region
