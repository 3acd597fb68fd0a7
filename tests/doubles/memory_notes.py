"""Notes that a test looks into."""

from __future__ import annotations

import json

from rollout_sdk.engine.model import Json
from rollout_server.errors import Conflict, Unavailable


class MemoryNotes:
    """Fulfils `ports.Notes`; keeps text, as a file would.

    Attributes:
        saves: how often something was kept.
        is_full: takes nothing.
    """

    def __init__(self, text: str = "null") -> None:
        self.text = text
        self.saves = 0
        self.is_full = False

    def load(self) -> Json:
        value: Json = json.loads(self.text)
        return value

    def save(self, value: Json) -> None:
        if self.is_full:
            raise Unavailable("notes", "the disk is full")
        self.text = json.dumps(value)
        self.saves += 1


class SharedNotes:
    """Fulfils `ports.FencedNotes` for several holders of one lease.

    Attributes:
        newest: the newest token that was given out, or that came along.
        is_away: takes and gives nothing.
    """

    def __init__(self) -> None:
        self.text = "null"
        self.newest = 0
        self.saves = 0
        self.is_away = False

    async def load(self) -> Json:
        self._check()
        value: Json = json.loads(self.text)
        return value

    async def save(self, value: Json, fence: int) -> None:
        self._check()
        if fence < self.newest:
            raise Conflict("the lease", fence, self.newest)
        self.newest, self.text = fence, json.dumps(value)
        self.saves += 1

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("redis", "it does not answer")
