"""The one address of the demo's servers: a connection goes to the next of them that takes it. Run as a process.

In the place of a load balancer, or of a name with two addresses.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Sequence

_CHUNK_BYTES = 65_536


class Front:
    """Hands connections on."""

    def __init__(self, servers: Sequence[str]) -> None:
        """Take their addresses, "host:port"."""
        self._servers = [(host, int(port)) for host, _, port in (server.rpartition(":") for server in servers)]
        self._next = 0

    async def take(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        there = await self._reach()
        if there is not None:
            ways = (_carry(reader, there[1]), _carry(there[0], writer))
            tasks = {asyncio.create_task(way) for way in ways}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _close(there[1])
        await _close(writer)

    async def _reach(self) -> tuple[StreamReader, StreamWriter] | None:
        """Connect to the next server in turn, or to the one after it where that one is gone."""
        self._next += 1
        for number in range(len(self._servers)):
            with suppress(OSError):
                return await asyncio.open_connection(*self._servers[(self._next + number) % len(self._servers)])
        return None


async def _carry(source: StreamReader, sink: StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _serve(listen: str, servers: Sequence[str]) -> None:
    host, _, port = listen.rpartition(":")
    async with await asyncio.start_server(Front(servers).take, host, int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(sys.argv[1], sys.argv[2:]))
