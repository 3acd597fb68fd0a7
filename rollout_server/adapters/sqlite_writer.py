"""The one thread of a process that writes: commits that wait share one transaction, hence one fsync."""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rollout_server.adapters import sqlite_file
from rollout_server.adapters.sqlite_refusals import refusal
from rollout_server.errors import RolloutError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

GROUP_COUNT_MAX = 64
QUEUE_COUNT_MAX = 4_096


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    future: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Writer:
    """Runs jobs in the order they were handed in. Each is answered only after the fsync that covers it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, on_commit: Callable[[], None]) -> None:
        """Take over the connection: nobody else may use it from now on.

        Args:
            path: the store's file, resolved.
            connection: writes, outside of any transaction.
            on_commit: called on the writer's thread after each commit; must not block.
        """
        self._path = path
        self._identity = sqlite_file.identity(path)
        self._connection = connection
        self._on_commit = on_commit
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_COUNT_MAX)
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)
        self._closing = threading.Lock()
        self._closed = False
        self._thread.start()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run the job inside a transaction; return its answer, or what it raised, once the commit is durable.

        A job that raises leaves nothing behind; those that share its transaction are not touched by it. It may run
        again where the shared transaction fails, so it must have no effect but on the connection.

        Raises:
            Unavailable: too many jobs wait, or the writer is closed.
        """
        waiting = _Job(job)
        with self._closing:
            if self._closed:
                raise Unavailable("journal", f"{self._path}: it was closed", "start the server again")
            try:
                self._jobs.put_nowait(waiting)
            except queue.Full:
                raise Unavailable("journal", f"{QUEUE_COUNT_MAX} commits wait already", "try again later") from None
        return waiting.future

    def close(self) -> None:
        """Finish every job that was handed in, then let go of the file. May be called twice; blocks."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            group: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                if job.future.set_running_or_notify_cancel():
                    group.append(job)
                if len(group) == GROUP_COUNT_MAX:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            is_open = job is not None
            self._run(group)
        try:
            with sqlite_file.lock(self._path):  # closing may move the log into the database
                self._connection.close()
        except (RolloutError, OSError):
            self._connection.close()

    def _run(self, group: list[_Job]) -> None:
        if not group:
            return
        try:
            answers = self._transaction(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            if len(group) > 1:
                for job in group:  # one that does not fit on the disk must not take the others with it
                    self._run([job])
                return
            answers = [_Failed(self._meaning(error))]
        for job, answer in zip(group, answers, strict=True):
            if isinstance(answer, _Failed):
                job.future.set_exception(answer.error)
            else:
                job.future.set_result(answer)

    def _transaction(self, group: list[_Job]) -> list[Any]:
        connection = self._connection
        with sqlite_file.lock(self._path):
            self._check_identity()
            try:
                connection.execute("BEGIN IMMEDIATE")
                before = connection.total_changes
                answers = [self._in_savepoint(job) for job in group]
                is_changed = connection.total_changes != before
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        if is_changed:
            self._on_commit()
        return answers

    def _in_savepoint(self, job: _Job) -> Any:  # noqa: ANN401 - each job has its own type, kept by `submit`
        self._connection.execute("SAVEPOINT job")
        try:
            answer = job.run(self._connection)
        except sqlite3.Error:
            raise  # the disk's or the database's trouble: the whole transaction is in doubt
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits
            self._connection.execute("ROLLBACK TO job")
            answer = _Failed(error)
        self._connection.execute("RELEASE job")
        return answer

    def _check_identity(self) -> None:
        """A file that was moved away still takes writes, and loses them with its last user."""
        try:
            is_same = sqlite_file.identity(self._path) == self._identity
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise Unavailable(
                "journal",
                f"{self._path} was moved or replaced while the server was using it",
                "start the server again; to restore a backup, stop the server first",
            )

    def _meaning(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error | OSError):
            return refusal(error, self._path) or error
        return error
