"""Notes that a test looks into."""

from __future__ import annotations

import json

from rollout_sdk.engine.model import Json
from rollout_server.errors import Unavailable


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
