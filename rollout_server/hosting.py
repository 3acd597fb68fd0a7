"""What `main` and `relay` have in common: what is around a server, whatever it serves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.api.speaking import Pace
from rollout_server.api.tls import Certificates, TlsFiles
from rollout_server.logs import get_logger, without_message

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Iterable
    from contextlib import AsyncExitStack

    from rollout_server.api.server import GrpcServer
    from rollout_server.app.record_feed import RecordFeed
    from rollout_server.settings import Settings


@dataclass(slots=True)
class Phase:
    """Whether this server is to get traffic.

    Attributes:
        lacks: what it still waits for, in words; empty where that is nothing.
    """

    lacks: str = "starting"
    is_stopping: bool = False

    def why_not_ready(self) -> str:
        """Return why it is not; empty where it is."""
        return "stopping" if self.is_stopping else self.lacks


def pace_of(settings: Settings) -> Pace:
    """Return when what is said on streams."""
    return Pace(settings.hello_within_ms, settings.bookmark_every_ms, settings.reconnect_within_ms)


def certificates_of(settings: Settings) -> Certificates | None:
    """Read the certificate of the gRPC port; None serves in plaintext.

    Raises:
        InvalidInput: it cannot be used.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def in_background(stack: AsyncExitStack, work: Coroutine[object, object, None], broken: asyncio.Event) -> None:
    """Do this until the stack ends; set `broken` where it breaks before."""
    task = asyncio.create_task(work)

    def ended(_task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            get_logger().error("background work broke", **without_message(error))
            broken.set()

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task.add_done_callback(ended)
    stack.push_async_callback(end)


async def stop(settings: Settings, server: GrpcServer, feeds: Iterable[RecordFeed], phase: Phase) -> None:
    """Send the streams elsewhere, let calls under way end, then close; never longer than the settings say."""
    phase.is_stopping = True
    for feed in feeds:
        feed.drain()
    await server.stop(settings.drain_within_ms / 1_000)


def with_port(address: str, port: int) -> str:
    """Return the address with the port that was taken."""
    return f"{address.rpartition(':')[0]}:{port}"


def address_of(listening: socket.socket | None, address: str) -> str:
    """Return where a socket listens; empty where there is none."""
    return with_port(address, listening.getsockname()[1]) if listening else ""
