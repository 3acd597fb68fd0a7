"""A shelf in memory."""

from __future__ import annotations

from rollout_server.errors import Unavailable


class MemoryShelf:
    """Fulfils `ports.Shelf`; `is_full` makes it take nothing. Counts what it took, and all that was tried."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data
        self.is_full = False
        self.saves = 0
        self.tries = 0

    def load(self) -> bytes | None:
        """Return what was saved last."""
        return self.data

    def save(self, data: bytes) -> None:
        """Keep this instead."""
        self.tries += 1
        if self.is_full:
            raise Unavailable("data", "full")
        self.data = data
        self.saves += 1
