"""The writer: shared fsync, separate fates."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollout_server.adapters import sqlite_file, sqlite_writer
from rollout_server.adapters.sqlite_file import connect, ensure
from rollout_server.adapters.sqlite_writer import Writer
from rollout_server.errors import Conflict, Unavailable

Job = Callable[[sqlite3.Connection], int]


class Stand:
    """A writer over a small table, counting its commits."""

    def __init__(self, path: Path) -> None:
        ensure(path)
        self.path = path
        self.commits = 0
        connection = connect(path)
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filling BLOB)")
        self.connection = connection
        self.writer = Writer(path, connection, self.count)

    def count(self) -> None:
        self.commits += 1

    def rows(self) -> list[int]:
        with closing(connect(self.path, is_reader=True)) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]

    def held(self) -> threading.Event:
        """Keep the writer busy until the event is set, so that what follows shares a transaction."""
        gate, is_held = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> bool:
            is_held.set()
            return gate.wait()

        self.writer.submit(hold)
        is_held.wait()  # else some of what follows shares the transaction of this
        return gate


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path / "store.db")
    yield made
    made.writer.close()


def insert(n: int, filling_bytes: int = 0) -> Job:
    def job(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?, zeroblob(?))", (n, filling_bytes))
        return n

    return job


def insert_and_raise(n: int, error: Exception) -> Job:
    def job(connection: sqlite3.Connection) -> int:
        insert(n)(connection)
        raise error

    return job


def test_jobs_that_wait_share_one_commit(stand: Stand) -> None:
    """Ten commits that came while the disk was busy cost one fsync, and each gets its own answer, in order."""
    gate = stand.held()
    answers = [stand.writer.submit(insert(n)) for n in range(10)]
    gate.set()
    assert [answer.result() for answer in answers] == list(range(10))
    assert stand.commits == 1
    assert stand.rows() == list(range(10))


def test_nothing_is_answered_before_the_commit(stand: Stand) -> None:
    """When an answer arrives, another connection already sees the write."""
    seen: list[list[int]] = []
    for n in range(20):
        answer = stand.writer.submit(insert(n))
        answer.add_done_callback(lambda _: seen.append(stand.rows()))
        answer.result()
    stand.writer.close()
    assert [len(rows) for rows in seen] == list(range(1, 21))


def test_a_job_that_raises_takes_only_itself_back(stand: Stand) -> None:
    """A refusal or a bug undoes that job's writes and none of its neighbours'."""
    gate = stand.held()
    answers = [
        stand.writer.submit(job)
        for job in (
            insert(1),
            insert_and_raise(2, Conflict("flag/a", 1, 2)),
            insert_and_raise(3, TypeError("bug")),
            insert(4),
        )
    ]
    gate.set()
    assert [type(answer.exception()) for answer in answers] == [type(None), Conflict, TypeError, type(None)]
    assert stand.rows() == [1, 4]


def test_a_job_that_the_disk_refuses_fails_alone(stand: Stand) -> None:
    """One commit too large for the space left: unavailable, while those that waited with it are stored."""
    (pages,) = stand.connection.execute("PRAGMA page_count").fetchone()
    stand.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    gate = stand.held()
    answers = [stand.writer.submit(job) for job in (insert(1), insert(2, 1_000_000), insert(3))]
    gate.set()
    assert answers[0].result() == 1
    assert answers[2].result() == 3
    with pytest.raises(Unavailable, match="the disk is full") as refusal:
        answers[1].result()
    assert "space" in refusal.value.hint
    assert stand.rows() == [1, 3]


def test_space_that_returns_is_used(stand: Stand) -> None:
    """After a full disk the same writer goes on, without a restart."""
    (pages,) = stand.connection.execute("PRAGMA page_count").fetchone()
    stand.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable):
        stand.writer.submit(insert(1, 1_000_000)).result()
    stand.connection.execute("PRAGMA max_page_count = 100000")
    assert stand.writer.submit(insert(1, 1_000_000)).result() == 1


def test_a_job_that_nobody_waits_for_is_not_run(stand: Stand) -> None:
    """A caller that gave up before its turn has written nothing."""
    gate = stand.held()
    answer = stand.writer.submit(insert(1))
    assert answer.cancel()
    gate.set()
    assert stand.writer.submit(insert(2)).result() == 2
    assert stand.rows() == [2]


def test_too_many_waiting_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded: who comes too late is told at once."""
    monkeypatch.setattr(sqlite_writer, "QUEUE_COUNT_MAX", 2)
    stand = Stand(tmp_path / "store.db")
    entered, gate = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> bool:
        entered.set()
        return gate.wait()

    stand.writer.submit(hold)
    entered.wait()
    accepted = [stand.writer.submit(insert(n)) for n in range(2)]
    with pytest.raises(Unavailable, match="wait already"):
        stand.writer.submit(insert(9))
    gate.set()
    assert [answer.result() for answer in accepted] == [0, 1]
    stand.writer.close()


def test_no_commit_passes_another_process(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the store, for a commit or the checkpoint after it, this one waits, then says so."""
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 20)
    with sqlite_file.lock(stand.path), pytest.raises(Unavailable, match="another process"):
        stand.writer.submit(insert(1)).result()
    assert stand.writer.submit(insert(2)).result() == 2
    assert stand.rows() == [2]


def test_closing_finishes_what_was_handed_in(stand: Stand) -> None:
    """Every job before the close is answered; every one after it is refused; closing twice is fine."""
    gate = stand.held()
    answers = [stand.writer.submit(insert(n)) for n in range(200)]
    gate.set()
    stand.writer.close()
    stand.writer.close()
    assert [answer.result() for answer in answers] == list(range(200))
    with pytest.raises(Unavailable, match="closed"):
        stand.writer.submit(insert(999))
    assert stand.rows() == list(range(200))


def test_a_file_that_was_moved_away_takes_no_more_writes(stand: Stand) -> None:
    """A commit into a file that nobody will ever open again is refused, and taken once the file is back."""
    moved = stand.path.rename(stand.path.with_name("moved.db"))
    with pytest.raises(Unavailable, match="moved or replaced"):
        stand.writer.submit(insert(1)).result()
    ensure(stand.path)
    with pytest.raises(Unavailable, match="moved or replaced"):
        stand.writer.submit(insert(1)).result()
    moved.rename(stand.path)
    assert stand.writer.submit(insert(1)).result() == 1
