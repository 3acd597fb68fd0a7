"""Journals in memory that fail their readers: torn, silent, swapped, overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from rollout_server.domain.journal import Entry, State
from rollout_server.errors import Unavailable
from tests.doubles.memory_journal import MemoryJournal


class FailingTail(MemoryJournal):
    """A journal whose tail fails as it is told, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.skip: set[int] = set()

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        async for entry in super().tail(after):
            if self.failures:
                raise self.failures.pop()
            if entry.revision not in self.skip:
                yield entry
            self.skip.discard(entry.revision)


class SilentTail(MemoryJournal):
    """A journal that tells nothing of what is written."""

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        await asyncio.Event().wait()
        async for entry in super().tail(after):
            yield entry


class SwappedStore(MemoryJournal):
    """A journal in whose place another one is put while its store is away."""

    def __init__(self) -> None:
        super().__init__()
        self.swapped = asyncio.Event()
        self.was_away = False

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        if not self.was_away:
            await self.swapped.wait()
            self.was_away = True
            raise Unavailable("journal", "away")
        async for entry in super().tail(after):
            yield entry

    def become(self, other: MemoryJournal, epoch: str) -> None:
        self._lines, self._base, self._epoch = list(other._lines), other._base, epoch
        self._state = replace(other._state, position=replace(other._state.position, epoch=epoch))
        self.swapped.set()


class Overtaken(FailingTail):
    """While it is read anew, an entry is committed that its answer does not hold any more."""

    def __init__(self) -> None:
        super().__init__()
        self.overtake: Callable[[], Awaitable[object]] | None = None
        self.overtaken = asyncio.Event()

    async def load(self) -> State:
        state = await super().load()
        if self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            await overtake()
            asyncio.get_running_loop().call_soon(self.overtaken.set)
        return state
