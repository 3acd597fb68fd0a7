"""An upstream that says what a test puts in, and keeps what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.relaying import News, Told
from rollout_server.errors import RolloutError


class ScriptedUpstream:
    """Fulfils `ports.Upstream`.

    Attributes:
        hellos: name and position of each stream that was opened.
        heard: news, in order.
        reports: token and report, in order.
        answer: to each report, or what is raised instead.
        is_closed: `close` was called.
    """

    def __init__(self) -> None:
        self.hellos: list[tuple[str, Position | None]] = []
        self.heard: list[News] = []
        self.reports: list[tuple[str, bytes]] = []
        self.answer: bytes | RolloutError = b"taken"
        self.is_closed = False
        self._says: asyncio.Queue[Told | RolloutError] = asyncio.Queue()
        self._has_heard = asyncio.Condition()

    def say(self, *told: Told | RolloutError) -> None:
        """Say these on the stream that is open, or on the next; an error ends the stream."""
        for one in told:
            self._says.put_nowait(one)

    async def heard_at_least(self, count: int) -> None:
        """Wait until so many pieces of news came."""
        async with self._has_heard:
            await self._has_heard.wait_for(lambda: len(self.heard) >= count)

    async def greeted(self, count: int) -> None:
        """Wait until so many streams were opened."""
        async with self._has_heard:
            await self._has_heard.wait_for(lambda: len(self.hellos) >= count)

    async def watch(self, name: str, held: Position | None, news: AsyncIterator[News]) -> AsyncIterator[Told]:
        """Open a stream."""
        self.hellos.append((name, held))
        async with self._has_heard:
            self._has_heard.notify_all()
        listening = asyncio.create_task(self._listen(news))
        try:
            while True:
                told = await self._says.get()
                if isinstance(told, RolloutError):
                    raise told
                yield told
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def report(self, secret: str, report: bytes) -> bytes:
        """Take a report, or refuse it."""
        self.reports.append((secret, report))
        if isinstance(self.answer, RolloutError):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Let go."""
        self.is_closed = True

    async def _listen(self, news: AsyncIterator[News]) -> None:
        async for piece in news:
            async with self._has_heard:
                self.heard.append(piece)
                self._has_heard.notify_all()
