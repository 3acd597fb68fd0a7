"""Time what a store takes: a journal and a telemetry store that note how long each call was, and change nothing else.

Waiting in the store's own queue counts: that is what whoever asked has waited.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from rollout_server.app.durations import Durations
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from rollout_sdk.engine.model import Position
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.guardrails.data import ExposureSums, WindowSums
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.resources import ResourceId
    from rollout_server.domain.telemetry import Intake, Ledger, ProcessWindow, Receipt, RunCheckpoint, RunId
    from rollout_server.domain.verification import Verification
    from rollout_server.ports import Journal, TelemetryStore

JOURNAL, TELEMETRY = "journal", "telemetry"
READ, WRITE = "read", "write"
CALLS = ((JOURNAL, READ), (JOURNAL, WRITE), (TELEMETRY, READ), (TELEMETRY, WRITE))

_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class StoreTimes:
    """What the calls to one store took, by part and direction; see `CALLS`.

    Attributes:
        store: "sqlite" or "redis".
        took: of the calls that ended, well or not.
        failures: how many found the store away.
    """

    def __init__(self, store: str, now_s: Callable[[], float] = perf_counter) -> None:
        """Begin with none; `now_s` is a clock that never goes back."""
        self.store = store
        self.took = {call: Durations(_BOUNDS_S) for call in CALLS}
        self.failures: Counter[tuple[str, str]] = Counter()
        self._now_s = now_s

    @contextmanager
    def timing(self, part: str, direction: str) -> Iterator[None]:
        """Note how long the block takes, and whether it finds the store away."""
        began_s = self._now_s()
        try:
            yield
        except Unavailable:
            self.failures[part, direction] += 1
            raise
        finally:
            self.took[part, direction].took(self._now_s() - began_s)


class TimedJournal:
    """A journal whose reads and commits are timed; see `ports.Journal`."""

    def __init__(self, journal: Journal, times: StoreTimes) -> None:
        self._journal = journal
        self._times = times

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self._journal.environment

    async def load(self) -> State:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.load()

    async def commit(self, draft: Draft) -> Entry:
        """Timed."""
        with self._times.timing(JOURNAL, WRITE):
            return await self._journal.commit(draft)

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.recall(idempotency_key, fingerprint)

    async def confirm(self, position: Position) -> None:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            await self._journal.confirm(position)

    async def entries(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.entries(after, limit)

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.history(resource, before, limit)

    def tail(self, after: int) -> AsyncIterator[Entry]:
        """As it is: it waits for what others write."""
        return self._journal.tail(after)

    async def state_at(self, *, revision: int | None = None, at_ms: int | None = None) -> State:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.state_at(revision=revision, at_ms=at_ms)

    async def checkpoint(self) -> Checkpoint:
        """Timed."""
        with self._times.timing(JOURNAL, READ):
            return await self._journal.checkpoint()

    async def verify(self, expected_head: Position | None) -> Verification:
        """As it is: it reads the whole log."""
        return await self._journal.verify(expected_head)

    async def compact(self, before_ms: int) -> int:
        """As it is: it writes as much as there is to drop."""
        return await self._journal.compact(before_ms)

    async def renew_epoch(self) -> Position:
        """Timed."""
        with self._times.timing(JOURNAL, WRITE):
            return await self._journal.renew_epoch()

    async def backup(self, target: Path) -> None:
        """As it is: it copies the whole store."""
        await self._journal.backup(target)

    async def close(self) -> None:
        """As it is."""
        await self._journal.close()


class TimedTelemetry:
    """A telemetry store whose calls are timed; see `ports.TelemetryStore`."""

    def __init__(self, store: TelemetryStore, times: StoreTimes) -> None:
        self._store = store
        self._times = times

    @property
    def window_ms(self) -> int:
        """How long a window is."""
        return self._store.window_ms

    async def commit(self, intake: Intake) -> Receipt:
        """Timed."""
        with self._times.timing(TELEMETRY, WRITE):
            return await self._store.commit(intake)

    async def sums(self, run: RunId, metric: str, after: int, through: int) -> tuple[WindowSums, ...]:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.sums(run, metric, after, through)

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.exposures(run, after, through)

    async def heard(self, since_ms: int) -> Mapping[str, int]:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.heard(since_ms)

    async def add_processes(self, processes: ProcessWindow) -> None:
        """Timed."""
        with self._times.timing(TELEMETRY, WRITE):
            await self._store.add_processes(processes)

    async def processes(self, after: int, through: int) -> tuple[ProcessWindow, ...]:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.processes(after, through)

    async def ledger(self) -> Ledger:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.ledger()

    async def checkpoint(self, run: RunId) -> RunCheckpoint | None:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.checkpoint(run)

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        """Timed."""
        with self._times.timing(TELEMETRY, WRITE):
            await self._store.keep(checkpoint)

    async def last_window(self) -> int:
        """Timed."""
        with self._times.timing(TELEMETRY, READ):
            return await self._store.last_window()

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        """As it is: it writes as much as there is to drop."""
        return await self._store.prune(before_window, runs)

    async def close(self) -> None:
        """As it is."""
        await self._store.close()
