"""A real HTTP server on loopback that takes webhooks, and answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

HANG = 0
"""An answer that never comes."""
ENDLESS = 1
"""An answer of 200 whose body never ends."""


class Request(NamedTuple):
    """What came; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    local_host: str


@dataclass
class HookServer:
    """Takes requests.

    Attributes:
        answers: status of the next answers, in order; 200 where there are no more.
        asked: set while at least one request came since it was cleared.
    """

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    location: str = ""

    async def wait(self, count: int) -> list[Request]:
        """Return the requests once there are so many."""
        while len(self.requests) < count:
            self.asked.clear()
            await self.asked.wait()
        return self.requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split()
        self.requests.append(Request(method, path, headers, body, writer.get_extra_info("sockname")[0]))
        self.asked.set()
        status = self.answers.pop(0) if self.answers else 200
        if status == HANG:
            await reader.read()
            self.gone.set()
            return
        length = "" if status == ENDLESS else "Content-Length: 0\r\n"
        location = f"Location: {self.location}\r\n" if self.location else ""
        writer.write(f"HTTP/1.1 {max(status, 200)} So\r\n{length}{location}Connection: close\r\n\r\n".encode())
        await writer.drain()
        while status == ENDLESS and not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()


@asynccontextmanager
async def hooks(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[HookServer]:
    """A server that is gone when the test is."""
    hook = HookServer()
    serving: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await hook.serve(reader, writer)
        finally:
            serving.discard(task)

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # sockets close one turn later
