"""Fan-out: what is committed goes to every stream. A stream remembers its position and nothing else.

So a slow reader costs nothing that grows: whenever it is ready for more it is told the way from where it stands to
where the environment stands by then, and all readers that stand at the same place share one answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.app.ruleset_log import HISTORY_MAX, RulesetLog, Standing
from rollout_server.errors import Conflict, NotFound, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Part
    from rollout_server.app.environment import Environment
    from rollout_server.app.ruleset_log import Mark
    from rollout_server.domain.journal import Entry, State

RECENT_MAX = 1_000
"""Entries read at the start, so that clients continue across a restart; reading more would delay it."""

_RENEWED_WITHIN_S = 10.0
_RETRY_HINT = "nothing is wrong with the client; it tries again by itself"


class FanOut:
    """One environment's ruleset log, kept up, and the bell that rings once for every revision."""

    def __init__(self, environment: Environment, renew_epoch_every_ms: int = 60_000) -> None:
        self.environment = environment
        self.epoch_renewals = 0
        self.is_draining = False
        self._renew_epoch_every_ms = renew_epoch_every_ms
        self._renewed_at_ms: int | None = None
        self._renewing = asyncio.Lock()
        self._log = RulesetLog(environment.state, environment.ruleset)
        self._bell = asyncio.Event()
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Learn the recent history, then follow the environment.

        Raises:
            Unavailable: the store is away.
        """
        while self._unsubscribe is None:
            state = self.environment.state
            limit = min(RECENT_MAX, HISTORY_MAX)
            recent = await self.environment.journal.history(None, state.position.revision + 1, limit)
            if self.environment.state is state:  # else an entry came in between, and the log would miss it
                self._log = RulesetLog(state, self.environment.ruleset, reversed(recent))
                self._unsubscribe = self.environment.subscribe(self._on_entry)

    def close(self) -> None:
        """Stop following."""
        if self._unsubscribe is not None:
            self._unsubscribe()

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
        """Return the way from a position that this fan-out led to; None where the history became another one."""
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
            await self._recover_tail(held)
            standing = self._log.standing(held)
        match standing:
            case Standing.HERE | Standing.TOO_OLD:
                return ""
            case Standing.ELSEWHERE:
                return f"epoch {held.epoch!r} is not this environment's history; its epoch is {self.position.epoch!r}"
            case Standing.LOST:
                raise Unavailable("journal", "this history and the client's differ within one epoch", _RETRY_HINT)

    async def _recover_tail(self, held: Position) -> None:
        """Find out at the store who is right, and name the history anew if it lost what the client holds.

        One client is proof enough: nobody holds an entry's digest that was not committed (docs/adr/0010). Returns with
        the log in a state that knows the answer.
        """
        async with self._renewing:
            if self._log.standing(held) is not Standing.LOST:
                return  # another client was first
            if await self._is_stored(held):
                await self.environment.wait_for(held.revision)
                return
            now_ms = self.environment.clock.monotonic_ms()
            if self._renewed_at_ms is not None and now_ms - self._renewed_at_ms < self._renew_epoch_every_ms:
                raise Unavailable("journal", "the epoch was renewed a moment ago", _RETRY_HINT)
            self._renewed_at_ms = now_ms
            before = self.position
            renewed = await self.environment.journal.renew_epoch()
            self.epoch_renewals += 1
            get_logger().error(
                "this history lost its tail: a client holds an entry that the store does not; the epoch is renewed",
                environment=self.environment.name,
                revision=before.revision,
                held_revision=held.revision,
                epoch=renewed.epoch,
                hint="a store was restored by copying files, or lost a write; compare `rollout history` with backups",
            )
            await self._wait_for_epoch(renewed.epoch)

    async def _is_stored(self, held: Position) -> bool:
        if held.revision <= self.position.revision:
            return False
        try:
            entries = await self.environment.journal.entries(held.revision - 1, 1)
        except (Conflict, NotFound):
            return False
        return bool(entries) and entries[0].digest == held.digest

    async def _wait_for_epoch(self, epoch: str) -> None:
        try:
            async with asyncio.timeout(_RENEWED_WITHIN_S):
                while self.position.epoch != epoch:
                    await self._bell.wait()
        except TimeoutError:
            raise Unavailable("journal", "the renewed epoch has not reached this server", _RETRY_HINT) from None

    def _on_entry(self, entry: Entry | None, before: State, after: State) -> None:
        ruleset = self.environment.ruleset
        if entry is None or before.position != self._log.position:
            self._log = RulesetLog(after, ruleset)
        else:
            self._log.advance(entry, after, ruleset)
        self._ring()

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
