"""The journal in one SQLite file: one thread writes, a few read, the event loop waits for neither."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rollout_server.adapters import sqlite_compaction, sqlite_file, sqlite_replay
from rollout_server.adapters import sqlite_rows as rows
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.adapters.sqlite_watch import Watch
from rollout_server.adapters.sqlite_writer import Writer
from rollout_server.domain.checkpoint import SERVER_KEY_BYTES, read_checkpoint
from rollout_server.domain.entries import check_after, read_entry
from rollout_server.domain.verification import Verification, verify_history
from rollout_server.errors import Conflict, Corrupt, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from rollout_sdk.engine.model import Position
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.resources import ResourceId
    from rollout_server.ports import Clock

T = TypeVar("T")

READERS = 4
TAIL_AT_ONCE = 256


def open_store(path: Path, environments: Iterable[str], *, key: bytes, clock: Clock) -> SqliteStore:
    """Open the file, or make it, with a journal for each of these environments. Blocks: call it before serving.

    Args:
        path: the file; its directory is made where it is missing.
        environments: names; those that the file holds beyond them are left alone.
        key: the server's own, `SERVER_KEY_BYTES` or more: it signs checkpoints, and lies elsewhere than the file.
        clock: remembers idempotency keys for 7 days of its time.

    Raises:
        Corrupt: the file is damaged, cut short, or not ours.
        Refused: "store-format", a later release wrote it.
        Unavailable: it cannot be read and written here.
        ValueError: the key is too short.
    """
    if len(key) < SERVER_KEY_BYTES:
        raise ValueError(f"a server's key has at least {SERVER_KEY_BYTES} bytes, this one has {len(key)}")
    path = path.expanduser().resolve()
    sqlite_file.ensure(path)
    with refusals(path):
        connection = sqlite_file.connect(path)
        try:
            with sqlite_file.lock(path):
                sqlite_file.prepare(connection, path)
                connection.execute("BEGIN IMMEDIATE")
                numbers = rows.ensure_environments(connection, environments)
                connection.execute("COMMIT")
            return SqliteStore(path, connection, numbers, key, clock)
        except BaseException:
            connection.close()
            raise


def open_standing(path: Path, environment: str, clock: Clock) -> SqliteStore:
    """Open one environment of a file that is there already, without the server's key: to read and to commit. Blocks.

    Nothing is made, and a file of an earlier release is not brought up to date: its server could not read it any more.

    Raises:
        NotFound: there is no such file, or no such environment in it; the hint names those that there are.
        Corrupt, Refused, Unavailable: as `open_store`.
    """
    path = path.expanduser().resolve()
    if not path.exists():
        raise NotFound("store", str(path), "name the data directory of the server, or the Redis that it uses")
    sqlite_file.ensure(path)
    with refusals(path):
        connection = sqlite_file.connect(path)
        try:
            with sqlite_file.lock(path):
                sqlite_file.check_current(connection, path)
                sqlite_file.prepare(connection, path)
                number = rows.number_of(connection, environment, path)
            return SqliteStore(path, connection, {environment: number}, b"", clock)
        except BaseException:
            connection.close()
            raise


class SqliteStore:
    """One open file, and the journals in it."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, environments: dict[str, int], key: bytes, clock: Clock
    ) -> None:
        self.path = path
        self.key = key
        self.clock = clock
        self.watch = Watch(sqlite_file.connect(path, is_reader=True))
        self.writer = Writer(path, connection, self.watch.wake)
        self._journals = {name: SqliteJournal(self, name, number) for name, number in environments.items()}
        self._open = set(self._journals)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="journal-reader")
        self._auditor = ThreadPoolExecutor(1, thread_name_prefix="journal-auditor")
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._is_closed = False

    def journal(self, environment: str) -> SqliteJournal:
        """Return one environment's journal, the same object each time.

        Raises:
            NotFound: the store was not opened for it.
        """
        if environment not in self._journals:
            raise NotFound("environment", environment, f"there are: {', '.join(sorted(self._journals)) or 'none'}")
        return self._journals[environment]

    async def read(self, question: Callable[[sqlite3.Connection], T], *, is_long: bool = False) -> T:
        """Answer on a reader's thread, within one read transaction: what it sees is one moment.

        Args:
            question: asked with a connection that cannot write.
            is_long: it walks the whole log. Such questions wait for each other, never a tail for them.

        Raises:
            Unavailable, Corrupt: as the disk says.
        """
        if self._is_closed:
            raise Unavailable("journal", f"{self.path}: it was closed", "start the server again")
        readers = self._auditor if is_long else self._readers
        return await asyncio.get_running_loop().run_in_executor(readers, self._ask, question)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run on the writer's thread; return once it is durable. A caller that is cancelled may have written."""
        return await asyncio.wrap_future(self.writer.submit(job))

    async def release(self, environment: str) -> None:
        """Note that a journal was closed; the last one closes the file."""
        self._open.discard(environment)
        if not self._open:
            await self.close()
        else:
            self.watch.wake()

    async def close(self) -> None:
        """Finish every commit that was handed in, end the tails, let go of the file. May be called twice."""
        self._is_closed = True
        self._open.clear()
        await asyncio.to_thread(self._close)

    def is_open(self, environment: str) -> bool:
        """Whether the environment's journal is in use."""
        return environment in self._open

    def _close(self) -> None:
        self._readers.shutdown()
        self._auditor.shutdown()
        self.watch.close()
        while not self._idle.empty():
            self._idle.get().close()
        self.writer.close()  # last, so that it is the one that moves the log into the database, under its lock

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with refusals(self.path):
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                connection = sqlite_file.connect(self.path, is_reader=True)
            try:
                connection.execute("BEGIN")
                return question(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.put(connection)


class SqliteJournal:
    """One environment's log in the store's file. See `ports.Journal` for what each method promises."""

    def __init__(self, store: SqliteStore, environment: str, number: int) -> None:
        self._store = store
        self._environment = environment
        self._number = number
        self._epoch: str | None = None

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self._environment

    async def load(self) -> State:
        """Return the state at the head, checked against the chain's end."""
        state = await self._store.read(partial(rows.load, environment=self._number))
        self._epoch = state.position.epoch
        return state

    async def commit(self, draft: Draft) -> Entry:
        """Write one entry; return after the fsync that covers it."""
        now_ms = self._store.clock.now_ms()
        return await self._store.write(partial(rows.append, environment=self._number, draft=draft, now_ms=now_ms))

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        """Return the entry that was written under this key."""
        now_ms = self._store.clock.now_ms()
        return await self._store.read(
            lambda file: rows.recall(file, self._number, idempotency_key, fingerprint, now_ms)
        )

    async def entries(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Return the entries that follow a revision."""
        return (await self._store.read(partial(self._entries, after=after, limit=limit)))[1]

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        """Return entries, newest first."""

        def question(file: sqlite3.Connection) -> tuple[Entry, ...]:
            upto = before or rows.standing(file, self._number).head.revision + 1
            found = rows.lines_before(file, self._number, resource, upto, max(limit, 0))
            return tuple(map(read_entry, found))

        return await self._store.read(question)

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        """Yield what follows a revision, as it is committed by any process."""
        epoch = self._epoch
        with self._store.watch.changed() as changed:
            while self._store.is_open(self._environment):
                changed.clear()
                now, found = await self._store.read(partial(self._entries, after=after, limit=TAIL_AT_ONCE))
                epoch = epoch or now
                if now != epoch:
                    raise Conflict("epoch", epoch, now, "the history was made a new epoch: load the state again")
                for entry in found:
                    yield entry
                    after = entry.revision
                if not found:
                    await changed.wait()

    async def state_at(self, *, revision: int | None = None, at_ms: int | None = None) -> State:
        """Return a state of the past."""
        question = partial(
            sqlite_replay.state_at,
            environment=self._number,
            name=self._environment,
            key=self._store.key,
            revision=revision,
            at_ms=at_ms,
        )
        return await self._store.read(question, is_long=True)

    async def checkpoint(self) -> Checkpoint:
        """Return the oldest state that can be replayed from."""

        def question(file: sqlite3.Connection) -> Checkpoint:
            epoch = rows.standing(file, self._number).epoch
            return read_checkpoint(rows.sealed(file, self._number), self._environment, self._store.key, epoch)

        return await self._store.read(question)

    async def verify(self, expected_head: Position | None) -> Verification:
        """Fold the log again, and compare."""

        def question(file: sqlite3.Connection) -> Verification:
            stored = rows.stored_history(file, self._number, self._environment, self._store.key)
            try:
                with refusals(self._store.path):
                    found = verify_history(stored, expected_head)
                    (pages,) = file.execute("PRAGMA quick_check(1)").fetchone()
            except Corrupt as damage:
                pages, found = str(damage), Verification(False, 0, stored.head, 0, expected_head is not None)
            if found.problem or pages == "ok":
                return found
            problem = f"{self._store.path}: the database is damaged: {pages}"
            return Verification(False, found.entries, found.head, found.oldest_revision, found.is_tail_checked, problem)

        return await self._store.read(question, is_long=True)

    async def compact(self, before_ms: int) -> int:
        """Put a signed checkpoint in the place of old entries."""
        dropped, is_settled = 0, False
        while not is_settled:
            question = partial(
                sqlite_compaction.propose,
                environment=self._number,
                name=self._environment,
                key=self._store.key,
                before_ms=before_ms,
            )
            proposal = await self._store.read(question, is_long=True)
            if proposal is None:
                break
            is_settled = await self._store.write(
                partial(sqlite_compaction.put_in_force, environment=self._number, proposal=proposal)
            )
            dropped = proposal.revision - proposal.base if is_settled else 0
        while await self._store.write(partial(sqlite_compaction.sweep, environment=self._number)):
            pass  # commits that wait get their turn between two sweeps
        return dropped

    async def confirm(self, position: Position) -> None:
        """Return at once: what a tail brings is on the disk."""

    async def renew_epoch(self) -> Position:
        """Make this history a new epoch."""
        return await self._store.write(partial(rows.renew_epoch, environment=self._number))

    async def fence(self) -> int:
        """Return the newest token of the lease."""
        return await self._store.read(partial(rows.fence, environment=self._number))

    async def raise_fence(self) -> int:
        """Make the next token of the lease, durably; every older one is refused from then on."""
        return await self._store.write(partial(rows.raise_fence, environment=self._number))

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole file."""

        def work() -> None:
            with refusals(target), closing(sqlite_file.connect(self._store.path, is_reader=True)) as source:
                sqlite_file.copy(source, self._store.path, target)

        await asyncio.to_thread(work)

    async def close(self) -> None:
        """End this journal's tails; the last journal closes the store."""
        await self._store.release(self._environment)

    def _entries(self, file: sqlite3.Connection, after: int, limit: int) -> tuple[str, tuple[Entry, ...]]:
        now = rows.standing(file, self._number)
        check_after(after, now.oldest, now.head.revision)
        return now.epoch, tuple(map(read_entry, rows.lines(file, self._number, after, max(limit, 0))))
