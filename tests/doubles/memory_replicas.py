"""Servers that share a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from rollout_server.domain.replicas import REMEMBERED_MS, REPLICAS_MAX, Replica, Roll, Spot, Word
from rollout_server.errors import Unavailable
from rollout_server.ports import Clock


@dataclass
class SharedBoard:
    """What they share.

    Attributes:
        is_away: takes and gives nothing.
        is_deaf: gives nothing.
    """

    clock: Clock
    lines: dict[str, Replica] = field(default_factory=dict)
    seen_at_ms: dict[str, int] = field(default_factory=dict)
    words: dict[str, list[tuple[Spot, int, bytes]]] = field(default_factory=dict)
    forgot_at_ms: int | None = None
    is_away: bool = False
    is_deaf: bool = False
    numbers: count[int] = field(default_factory=lambda: count(1))

    def check(self) -> None:
        if self.is_away:
            raise Unavailable("redis", "it does not answer")

    def lose(self) -> None:
        """Everything that was told, as a Redis that is emptied does."""
        self.lines, self.words = {}, {}


class MemoryReplicas:
    """Fulfils `ports.Replicas`."""

    def __init__(self, board: SharedBoard) -> None:
        self._board = board
        self.id = f"{next(board.numbers):016x}"
        self._name = ""
        self._told = Spot()

    async def begin(self, name: str, word: bytes) -> Roll:
        self._name, self._told = name, Spot()
        return self._say(word)

    async def tell(self, *words: bytes) -> Roll:
        return self._say(*words)

    async def leave(self) -> None:
        if self._told.run:
            self._say(has_left=True)

    async def hear(self, after: Mapping[str, Spot]) -> tuple[Word, ...]:
        board = self._board
        for _ in range(10):
            board.check()
            now_ms = board.clock.monotonic_ms()
            found = tuple(
                Word(id_, spot, now_ms - at_ms, data)
                for id_, heard in after.items()
                for spot, at_ms, data in board.words.get(id_, ())
                if spot > heard and not board.is_deaf
            )
            if found:
                return found
            await asyncio.sleep(0.005)
        return ()

    def _say(self, *words: bytes, has_left: bool = False) -> Roll:
        board, now_ms = self._board, self._board.clock.monotonic_ms()
        board.check()
        kept = board.words.get(self.id, [])
        if self._told.run:
            is_whole = bool(kept) and kept[0][0].number == 1 and kept[-1][0] == self._told
        else:
            is_whole, kept = True, []
            self._told = Spot(next(board.numbers), 0)
        if is_whole:
            for word in words:
                self._told = replace(self._told, number=self._told.number + 1)
                kept.append((self._told, now_ms, word))
            board.words[self.id] = kept
        for id_ in [one for one, at_ms in board.seen_at_ms.items() if at_ms + REMEMBERED_MS < now_ms]:
            board.lines.pop(id_, None)
            board.words.pop(id_, None)
            del board.seen_at_ms[id_]
        others = [one for one in board.lines if one != self.id]
        if len(others) >= REPLICAS_MAX:
            del board.lines[min(others, key=lambda one: board.seen_at_ms[one])]
            board.forgot_at_ms = now_ms
        beat = board.lines[self.id].beat + 1 if self.id in board.lines else 1
        board.lines[self.id] = Replica(self.id, self._name, beat, 0, self._told, has_left)
        board.seen_at_ms[self.id] = now_ms
        known = tuple(
            replace(one, seen_ms_ago=now_ms - board.seen_at_ms[one.id])
            for one in board.lines.values()
            if one.id != self.id
        )
        forgot_ms_ago = None if board.forgot_at_ms is None else now_ms - board.forgot_at_ms
        return Roll(self._told, known, is_whole, forgot_ms_ago)
