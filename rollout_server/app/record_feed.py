"""Where the streams of one environment are led, whoever the records come from, and the bell that rings when they moved.

A stream remembers its position and nothing else. So a slow reader costs nothing that grows: whenever it is ready for
more it is told the way from where it stands to where the environment stands by then, and all readers that stand at the
same place share one answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.app.record_log import RecordLog, Standing
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Part
    from rollout_server.app.record_log import Mark

RETRY_HINT = "nothing is wrong with the client; it tries again by itself"


class RecordFeed:
    """A log of records, and the bell that rings once for every revision.

    Attributes:
        is_draining: this server goes away.
    """

    def __init__(self, log: RecordLog) -> None:
        """Lead to where the log stands. Whoever changes or replaces `_log` rings afterwards."""
        self.is_draining = False
        self._log = log
        self._bell = asyncio.Event()

    @property
    def position(self) -> Position:
        """Where every stream is being led."""
        return self._log.position

    @property
    def ruleset_digest(self) -> bytes:
        """Sum of the hashes of the records at `position`."""
        return self._log.digest.to_bytes()

    def mark(self, revision: int) -> Mark | None:
        """Return what is remembered of a revision of the present epoch."""
        return self._log.mark(revision)

    async def moved_from(self, position: Position) -> None:
        """Return once the environment stands elsewhere than at `position`, or `drain` was called."""
        while self._log.position == position and not self.is_draining:
            await self._bell.wait()

    def drain(self) -> None:
        """Wake every stream a last time, to be told that this server goes away."""
        self.is_draining = True
        self._ring()

    def parts_since(self, position: Position) -> tuple[Part, ...] | None:
        """Return the way from a position that this feed led to; None where the history became another one."""
        if self._log.standing(position) in {Standing.ELSEWHERE, Standing.LOST}:
            return None
        return self._log.parts_since(position)

    def snapshot(self) -> tuple[Part, ...]:
        """Return everything there is."""
        return self._log.parts_since(None)

    async def admit(self, held: Position | None) -> str:
        """Decide how a client that comes with a position is to be answered.

        Returns:
            Why its position is to be reset; empty where it may continue from it, or holds none.

        Raises:
            Unavailable: it must come again later.
        """
        if held is None:
            return ""
        standing = self._log.standing(held)
        if standing is Standing.LOST:
            await self._find(held)
            standing = self._log.standing(held)
        match standing:
            case Standing.HERE | Standing.TOO_OLD:
                return ""
            case Standing.ELSEWHERE:
                return f"epoch {held.epoch!r} is not this environment's history; its epoch is {self.position.epoch!r}"
            case Standing.LOST:
                raise Unavailable("journal", "this history and the client's differ within one epoch", RETRY_HINT)

    async def _find(self, held: Position) -> None:
        """Find out what became of a position of this epoch that the log does not know, and return when it knows.

        Raises:
            Unavailable: that cannot be found out now.
        """

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
