"""Fan-out: what is committed goes to every stream, and a history that lost its tail is found out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.app.record_feed import RETRY_HINT, RecordFeed
from rollout_server.app.record_log import HISTORY_MAX, Standing
from rollout_server.app.ruleset_log import RulesetLog
from rollout_server.errors import Conflict, NotFound, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry, State

RECENT_MAX = 1_000
"""Entries read at the start, so that clients continue across a restart; reading more would delay it."""

_RENEWED_WITHIN_S = 10.0


class FanOut(RecordFeed):
    """One environment's ruleset log, kept up with its journal."""

    _log: RulesetLog

    def __init__(self, environment: Environment, renew_epoch_every_ms: int = 60_000) -> None:
        super().__init__(RulesetLog(environment.state, environment.ruleset))
        self.environment = environment
        self.epoch_renewals = 0
        self._renew_epoch_every_ms = renew_epoch_every_ms
        self._renewed_at_ms: int | None = None
        self._renewing = asyncio.Lock()
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

    async def _find(self, held: Position) -> None:
        """Find out at the store who is right, and name the history anew if it lost what the client holds.

        One client is proof enough: nobody holds an entry's digest that was not committed (docs/adr/0010).
        """
        async with self._renewing:
            if self._log.standing(held) is not Standing.LOST:
                return  # another client was first
            if await self._is_stored(held):
                await self.environment.wait_for(held.revision)
                return
            now_ms = self.environment.clock.monotonic_ms()
            if self._renewed_at_ms is not None and now_ms - self._renewed_at_ms < self._renew_epoch_every_ms:
                raise Unavailable("journal", "the epoch was renewed a moment ago", RETRY_HINT)
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
            raise Unavailable("journal", "the renewed epoch has not reached this server", RETRY_HINT) from None

    def _on_entry(self, entry: Entry | None, before: State, after: State) -> None:
        ruleset = self.environment.ruleset
        if entry is None or before.position != self._log.position:
            self._log = RulesetLog(after, ruleset)
        else:
            self._log.advance(entry, after, ruleset)
        self._ring()
