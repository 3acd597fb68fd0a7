"""What the application needs from the outside world. Adapters fulfil it; `main` alone knows which.

One contract suite (tests/contract/) runs over every implementation, doubles included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from pathlib import Path

    from rollout_sdk.engine.model import Json, Position
    from rollout_sdk.wire.relaying import News, Told
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.guardrails.data import ExposureSums, WindowSums
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.metric_source import MetricQuery, MetricWindows
    from rollout_server.domain.notification import Notification
    from rollout_server.domain.replicas import Roll, Spot, Word
    from rollout_server.domain.resources import ResourceId
    from rollout_server.domain.telemetry import Intake, Ledger, ProcessWindow, Receipt, RunCheckpoint, RunId
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
            Conflict: a version read has moved, the idempotency key was used for another request, the lease was taken
                over (`draft.fence`), or the history is a new epoch (`draft.epoch`).
            Unavailable: the store is away, full or read-only; nothing was written.
            Unknown: it may be written, and it may not; a repeat with the same idempotency key is safe.
        """

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        """Return the entry that was written under this key, if it is remembered (7 days).

        Raises:
            Conflict: the key was used for another request.
        """

    async def confirm(self, position: Position) -> None:
        """Return once a position that was applied here is as safe as an acknowledged change.

        For whoever answers "it is so already": that rests on entries whose own writers may not have been acknowledged.

        Raises:
            Unavailable: the store is away, or no longer holds it.
            Unknown: it holds it, and may yet lose it.
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


class Lease(Protocol):
    """The right to be the one controller of an environment, for a term at a time.

    Who holds it may stand still and be overtaken without knowing. So the token is what counts: it goes into each
    `Draft.fence`, and the store refuses all but the newest one. One object is one holder.
    """

    @property
    def term_ms(self) -> int:
        """How long it is held without being renewed; renew it three times as often. 0: as long as the process lives."""

    async def acquire(self) -> int | None:
        """Take the lease and return its fencing token, above every one before it; None while another holds it.

        A holder that asks again is given the token that it has.

        Raises:
            Unavailable: the store is away.
        """

    async def renew(self) -> bool:
        """Hold it for another term; False where it was lost: decide nothing more until it is acquired again.

        Raises:
            Unavailable: the store is away. It may still be held.
        """

    async def release(self) -> None:
        """Let go of it, so that the next one need not wait. Nothing happens where it is not held.

        Raises:
            Unavailable: the store is away; it ends with its term.
        """


class Replicas(Protocol):
    """How the servers that share one store hear of each other's processes. One object is one server.

    What it tells is a row of words, kept for as long as its processes count, however it ends. Nobody's memory of them
    is better than the store: who begins anew takes back all that it told before.
    """

    async def begin(self, name: str, word: bytes) -> Roll:
        """Tell this as the first word of a run; all that was told before is void. Return who else there is.

        Args:
            name: of this server, for people.
            word: what it tells.

        Raises:
            Corrupt: something else lies where the words are to be, or the environment is no longer there.
            Unavailable: the store is away. Whether it was told is not known: begin again.
        """

    async def tell(self, *words: bytes) -> Roll:
        """Tell these after all that was told since `begin`, or only that this server lives. Raises as `begin`.

        Returns:
            Who else there is. Where it is not whole nothing was told: begin again.
        """

    async def leave(self) -> None:
        """Say that this server ends, so that nobody waits for its word; what it told is kept. Raises as `begin`."""

    async def hear(self, after: Mapping[str, Spot]) -> tuple[Word, ...]:
        """Return what was told after these spots, of each server in order; wait a second at most until there is any.

        Args:
            after: by id of the server. Only those that `begin` or `tell` has named are asked.

        Raises:
            Unavailable: the store is away.
        """


class Notes(Protocol):
    """One small thing worth keeping across a restart; nobody is harmed where it is lost."""

    def load(self) -> Json:
        """Return what was saved last; None where nothing was, or where it cannot be read. Blocks."""

    def save(self, value: Json) -> None:
        """Keep this instead: whole or not at all. Blocks.

        Raises:
            Unavailable: it cannot be written.
        """


class FencedNotes(Protocol):
    """One small thing that whoever holds the lease keeps for the next holder; nobody is harmed where it is lost."""

    async def load(self) -> Json:
        """Return what was saved last, by whichever holder; None where nothing was, or where it makes no sense.

        Raises:
            Unavailable: the store is away.
        """

    async def save(self, value: Json, fence: int) -> None:
        """Keep this instead: whole or not at all.

        Args:
            value: replaces what was kept.
            fence: the token of the lease under which it came to be so.

        Raises:
            Conflict: another holder has a newer token; nothing was written.
            Unavailable: it cannot be written, or may have been.
        """


class Channel(Protocol):
    """One way to people: a webhook, a command, a service.

    Each has a time limit of its own, is safe to cancel, and says nothing secret in an error.
    """

    async def deliver(self, notification: Notification) -> None:
        """Hand one message over; return when the other side has taken it. The same one may come again.

        Raises:
            Unavailable: it was not taken, or nobody knows; worth trying again.
            Refused: "channel", it will not be taken however often it is tried, or must not be sent.
        """


class TelemetryStore(Protocol):
    """One environment's sums and evidence, beside its journal. Losing it loses evidence, never a decision.

    All methods raise Unavailable where the store is away.
    """

    @property
    def window_ms(self) -> int:
        """How long a window is; fixed when the store is made, for windows are counted in it."""

    async def commit(self, intake: Intake) -> Receipt:
        """Add a report's sums and note its sequence, in one transaction.

        A sequence of this instance that is not above the last one committed changes nothing. Sums of a window that a
        checkpoint says is judged are left out and counted. A unit counts once in its run, and only below its sample's
        bound; a sample that grows beyond `telemetry.UNITS_MAX` halves its bound.
        """

    async def sums(self, run: RunId, metric: str, after: int, through: int) -> tuple[WindowSums, ...]:
        """Return what was summed in windows > `after` and <= `through`, ascending, in both arms."""

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        """Return the units first exposed, or first reporting, in these windows; all kept below one bound."""

    async def heard(self, since_ms: int) -> Mapping[str, int]:
        """Return each instance that reported since, by name, and when it did last (clock of windows)."""

    async def add_processes(self, processes: ProcessWindow) -> None:
        """Add processes to a window of the built-in metric."""

    async def processes(self, after: int, through: int) -> tuple[ProcessWindow, ...]:
        """Return the built-in metric's windows > `after` and <= `through`, ascending."""

    async def ledger(self) -> Ledger:
        """Return what is in no sum."""

    async def checkpoint(self, run: RunId) -> RunCheckpoint | None:
        """Return what was last kept of a run."""

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        """Replace a run's checkpoint, durably as the sums are.

        Raises:
            Conflict: one with a later fence was kept, or a judged window would go back; nothing was written.
        """

    async def last_window(self) -> int:
        """Return the last window that anything was ever put into, -1 before the first."""

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        """Drop windows below this one, and everything of runs that are not among these and have none left.

        Returns:
            How many windows of sums went.
        """

    async def close(self) -> None:
        """Finish what was acknowledged and release the store."""


class Upstream(Protocol):
    """The server that a relay follows."""

    def watch(self, name: str, held: Position | None, news: AsyncIterator[News]) -> AsyncIterator[Told]:
        """Open a stream, say hello and whatever news there is, and yield what comes until it ends. Close it.

        Args:
            name: of the relay.
            held: what it serves; None for nothing.
            news: of its processes, without end.

        Raises:
            Forbidden: the relay's token may not.
            Unavailable: upstream is away, or ended the stream.
            Corrupt: what came is no message.
        """

    async def report(self, secret: str, report: bytes) -> bytes:
        """Hand a process's report over in its own name, and return the answer.

        Args:
            secret: the token that the process came with.
            report: as the process sent it.

        Raises:
            InvalidInput, Forbidden: upstream refuses it.
            Unavailable: nobody knows whether upstream has it; the process sends it again, and it counts once.
        """

    async def close(self) -> None:
        """Let go of its connections."""


class Shelf(Protocol):
    """One thing that must be there after a crash: the last that was saved, whole, or the one before."""

    def load(self) -> bytes | None:
        """Return what was saved last; None where nothing was, or it cannot be read. Blocks."""

    def save(self, data: bytes) -> None:
        """Keep this instead, durably. Blocks.

        Raises:
            Unavailable: it cannot be written.
        """


class MetricSource(Protocol):
    """Counters of somebody else's, as Prometheus keeps them."""

    async def windows(self, query: MetricQuery, after: int, through: int, window_ms: int) -> MetricWindows:
        """Return what windows > `after` and <= `through` hold, in order, or what is wrong with the source.

        Never raises for what the source does, and has a time limit of its own, whatever the source does. It may stop
        before `through`; and where `after` is not below it, it only says how the source is.
        """

    async def close(self) -> None:
        """Let go of its connections."""
