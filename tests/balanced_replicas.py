"""Replicas that are started again whenever they end, and what stands before them as a load balancer does."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.real_redis import free_port
from tests.small_server import ServerProcess


class Replica(ServerProcess):
    """A server that is started again whenever it ends, as a supervisor would.

    Attributes:
        answers: it has answered since it was started last.
        ends: exit codes and what was said with them, but for those that were killed.
        events: errors that it logged, and how often.
    """

    def __init__(self, name: str, data: Path, **options: Any) -> None:
        super().__init__(data, free_port(), **{"log_level": "error", **options})
        self.name = name
        self.data = data
        self.answers = False
        self.ends: list[tuple[int, str]] = []
        self.events: Counter[str] = Counter()
        self._is_over = False

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        self.kill()  # where the test failed; `stay` reaps it

    async def stay(self) -> None:
        """Start it again and again."""
        while not self._is_over:
            await self.start()
            code, said = await self.exit()
            self.answers = False
            self.events.update(re.findall(r'"event": "([^"]+)"', said))
            if code >= 0:
                self.ends.append((code, said))

    def kill(self) -> None:
        self.answers = False
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def stop(self) -> None:
        """Let it end politely, for good."""
        self._is_over = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()


@asynccontextmanager
async def balancer(replicas: list[Replica], chance: random.Random) -> AsyncIterator[str]:
    """An address behind which either replica may answer, as a load balancer has it."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for replica in chance.sample(replicas, len(replicas)):
            host, _, port = replica.address.rpartition(":")
            with contextlib.suppress(OSError):
                behind_reader, behind = await asyncio.open_connection(host, int(port))
                await asyncio.gather(pump(reader, behind), pump(behind_reader, writer))
                return
        writer.close()

    listening = await asyncio.start_server(take, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
