"""Wakes whoever tails the journal: at once for commits of this process, soon for those of another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_S = 0.02
"""How often another process's commits are looked for. The question reads a few bytes of shared memory."""


class Watch:
    """Knows who waits, on which event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take over the connection, which only asks whether the file changed."""
        self._connection = connection
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def changed(self) -> Iterator[asyncio.Event]:
        """Give an event that is set after each commit; the caller clears it before it reads."""
        event = asyncio.Event()
        with self._guard:
            self._waiting[event] = asyncio.get_running_loop()
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._poll, name="journal-watch", daemon=True)
                self._thread.start()
        try:
            yield event
        finally:
            with self._guard:
                del self._waiting[event]

    def wake(self) -> None:
        """Set every event. From any thread; never blocks."""
        with self._guard:
            waiting = tuple(self._waiting.items())
        for event, loop in waiting:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # its loop is closed, so nobody waits there
                continue

    def close(self) -> None:
        """Stop looking and wake everybody a last time. May be called twice; blocks for one turn of the poll."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._connection.close()
        self.wake()

    def _poll(self) -> None:
        seen = None
        while not self._closing.wait(POLL_S):
            try:
                (now,) = self._connection.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:
                continue  # whoever tails finds out what is wrong by reading
            if now != seen:
                seen = now
                self.wake()
