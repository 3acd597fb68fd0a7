"""What the application needs from the outside world. Adapters fulfil it; `main` alone knows which.

One contract suite (tests/contract/) runs over every implementation, doubles included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rollout_sdk.engine.model import Json, Position
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.resources import ResourceId
    from rollout_server.domain.verification import Verification


class Clock(Protocol):
    """Wall and monotonic time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC. May step backwards; callers must tolerate it."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment of this process. Never steps backwards."""


class Journal(Protocol):
    """One environment's ordered log."""

    @property
    def environment(self) -> str:
        """The environment's name."""

    async def load(self) -> State:
        """Return the state at the head.

        Raises:
            Corrupt: what is stored does not parse or its digest does not hold.
            Unavailable: the store is away.
        """

    async def commit(self, draft: Draft) -> Entry:
        """Write one entry, atomically and durably, or nothing.

        A repeated idempotency key with the same fingerprint returns the first entry. Races for the head are retried
        here: only a version in `draft.reads` that no longer stands is the caller's business.

        Raises:
            Conflict: a version read has moved, or the idempotency key was used for another request.
            Unavailable: the store is away, full or read-only; nothing was written.
        """

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        """Return the entry that was written under this key, if it is remembered (7 days).

        Raises:
            Conflict: the key was used for another request.
        """

    async def entries(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Return at most `limit` entries with revision > `after`, ascending.

        Raises:
            NotFound: `after` lies before the oldest revision that is kept, or beyond the head.
            Corrupt: an entry does not parse.
        """

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        """Return at most `limit` entries with revision < `before`, newest first; of one resource if given.

        `before` 0 starts at the head. Entries that were compacted away are left out.
        """

    def tail(self, after: int) -> AsyncIterator[Entry]:
        """Yield each entry with revision > `after` once, in order, until the journal is closed; whoever wrote it.

        Raises:
            NotFound: `after` lies before the oldest revision that is kept, or beyond the head: load the state again.
            Conflict: the history was made a new epoch meanwhile: load the state again.
            Unavailable, Corrupt: as `entries`.
        """

    async def state_at(self, *, revision: int | None = None, at_ms: int | None = None) -> State:
        """Return the state at a revision, or after the last entry at or before a time (Unix epoch); with neither, now.

        Costs what the state costs, however long the log is. `domain.history.state_at` says what it must equal.

        Raises:
            NotFound: the point lies before what is kept, or the revision has not happened yet.
            Corrupt: as `checkpoint`.
            Unavailable: the store is away.
        """

    async def checkpoint(self) -> Checkpoint:
        """Return the oldest state that can be replayed from, signed.

        Raises:
            Corrupt: it was not signed by this server, or does not parse.
        """

    async def verify(self, expected_head: Position | None) -> Verification:
        """Fold the whole log again and compare all that is stored with it; see `domain.verification`.

        Raises:
            Unavailable: the store is away.
        """

    async def compact(self, before_ms: int) -> int:
        """Drop entries older than this, keeping a signed checkpoint; return how many were dropped.

        Raises:
            Corrupt: what would be dropped does not hold; nothing was dropped.
        """

    async def renew_epoch(self) -> Position:
        """Make this history a new epoch, durably; return the position under it."""

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole store that, when opened, is a new epoch.

        Raises:
            Unavailable: the target cannot be written.
            Refused: "backup-target", the target is a store in use.
        """

    async def close(self) -> None:
        """Finish what was acknowledged and release the store."""


class Notes(Protocol):
    """One small thing worth keeping across a restart; nobody is harmed where it is lost."""

    def load(self) -> Json:
        """Return what was saved last; None where nothing was, or where it cannot be read. Blocks."""

    def save(self, value: Json) -> None:
        """Keep this instead: whole or not at all. Blocks.

        Raises:
            Unavailable: it cannot be written.
        """
