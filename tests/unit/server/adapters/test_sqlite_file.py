"""The store's file: whose it is, how it is made, copied and refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollout_server.adapters import sqlite_file
from rollout_server.adapters.sqlite_file import check_current, connect, copy, ensure, prepare
from rollout_server.adapters.sqlite_schema import FORMAT
from rollout_server.errors import Corrupt, Refused, Unavailable
from tests.journal_world import draft, flag, sqlite_store, tamper


def made(path: Path) -> Path:
    ensure(path)
    return path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """Directory, file, log, shared memory and lock: token hashes and people's keys are for the server alone."""
    store = sqlite_store(tmp_path / "deep" / "er" / "store.db")
    await store.journal("production").commit(draft(flag()))
    assert {item.name: mode(item) for item in store.path.parent.iterdir()} == {
        "store.db": 0o600,
        "store.db-wal": 0o600,
        "store.db-shm": 0o600,
        "store.db-lock": 0o600,
    }
    assert (mode(tmp_path / "deep"), mode(tmp_path / "deep" / "er")) == (0o700, 0o700)
    await store.close()


def test_a_store_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A backup that was put back with `cp` does not stay open to everybody."""
    path = made(tmp_path / "store.db")
    path.chmod(0o644)
    ensure(path)
    assert mode(path) == 0o600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"kind: Flag\nmetadata: {key: a}\n" * 200, "not a database"),
        (b"SQLite format 3\x00", "cut short"),
        (b"SQLite for", "not a database|cut short"),
    ],
)
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    """Refused with what it is and what to do, and not a byte of it changed."""
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=words) as refusal:
        ensure(path)
    assert "backup" in refusal.value.hint
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Somebody else's SQLite file is never taken over."""
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="another program"):
        ensure(path)
    assert path.read_bytes() == before


def test_a_store_of_a_later_release_is_refused_plainly(tmp_path: Path) -> None:
    """An old server never guesses at a newer format."""
    path = made(tmp_path / "store.db")
    tamper(path, f"PRAGMA user_version = {FORMAT + 1}")
    with closing(connect(path)) as connection, pytest.raises(Refused, match="later release") as refusal:
        prepare(connection, path)
    assert refusal.value.rule == "store-format"
    assert "that release" in refusal.value.hint


def test_a_store_of_an_earlier_format_is_brought_up_to_date(tmp_path: Path) -> None:
    """What format 1 lacks is added at the next start, once."""
    path = made(tmp_path / "store.db")
    tamper(path, "DROP TABLE lease", "PRAGMA user_version = 1")
    for _ in range(2):
        with closing(connect(path)) as connection:
            prepare(connection, path)
            assert connection.execute("SELECT count(*) FROM lease").fetchone() == (0,)
            assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


def test_whoever_is_no_server_leaves_an_earlier_format_alone(tmp_path: Path) -> None:
    """The server of that release could not read it any more."""
    path = made(tmp_path / "store.db")
    with closing(connect(path)) as connection:
        check_current(connection, path)
    tamper(path, "PRAGMA user_version = 1")
    with closing(connect(path)) as connection, pytest.raises(Refused, match="earlier release") as refusal:
        check_current(connection, path)
    assert refusal.value.rule == "store-format"


def test_a_store_without_its_tables_is_damaged(tmp_path: Path) -> None:
    """Missing tables are named."""
    path = made(tmp_path / "store.db")
    tamper(path, "DROP TABLE change", "DROP TABLE idempotency")
    with closing(connect(path)) as connection, pytest.raises(Corrupt, match="change, idempotency"):
        prepare(connection, path)


def test_a_crash_while_making_it_leaves_no_half_store(tmp_path: Path) -> None:
    """The file appears whole, and what a crash left under another name does not matter."""
    (tmp_path / ".store.db.part-00000000").write_bytes(b"half")
    made(tmp_path / "store.db")
    with closing(connect(tmp_path / "store.db")) as connection:
        prepare(connection, tmp_path / "store.db")


def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    """Write-ahead log, and an fsync for each commit: what promise 6 rests on."""
    path = made(tmp_path / "store.db")
    with closing(connect(path)) as connection:
        prepare(connection, path)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_readers_cannot_write(tmp_path: Path) -> None:
    """A reader's connection refuses to change anything."""
    path = made(tmp_path / "store.db")
    with closing(connect(path, is_reader=True)) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("UPDATE store SET is_copy = 1")


@pytest.mark.parametrize("name", ["wei rd", "per%41cent", "quest?mode=memory", "hash#tag", "ünïcode"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """Names that mean something in a URI mean nothing here."""
    path = made(tmp_path / name)
    with closing(connect(path)) as connection:
        prepare(connection, path)
    assert {item.name for item in tmp_path.iterdir()} == {name, f"{name}-lock"}


def test_a_copy_is_one_private_file(tmp_path: Path) -> None:
    """Nothing beside it, nobody else may read it, and an older copy is replaced in one step."""
    path, target = made(tmp_path / "store.db"), tmp_path / "backups.db"
    for _ in range(2):
        with closing(connect(path, is_reader=True)) as connection:
            copy(connection, path, target)
    assert mode(target) == 0o600
    assert {item.name for item in tmp_path.iterdir()} == {"store.db", "store.db-lock", "backups.db"}
    with closing(connect(target)) as connection:
        prepare(connection, target)
        assert connection.execute("SELECT is_copy FROM store").fetchone() == (1,)


@pytest.mark.parametrize("name", ["store.db", "store.db-wal", "link.db", "in-use.db"])
def test_a_copy_never_overwrites_a_store_in_use(tmp_path: Path, name: str) -> None:
    """Not this one under any name, and no other that somebody has open."""
    path = made(tmp_path / "store.db")
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "in-use.db-wal").write_bytes(b"")
    with closing(connect(path, is_reader=True)) as connection, pytest.raises(Refused) as refusal:
        copy(connection, path, tmp_path / name)
    assert refusal.value.rule == "backup-target"
    ensure(path)


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A target that cannot be replaced stays what it is, without litter beside it."""
    path, target = made(tmp_path / "store.db"), tmp_path / "directory"
    target.mkdir()
    with closing(connect(path, is_reader=True)) as connection, pytest.raises(OSError, match="directory"):
        copy(connection, path, target)
    assert {item.name for item in tmp_path.iterdir()} == {"store.db", "store.db-lock", "directory"}


def test_a_lock_that_is_not_given_up_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs with the lock makes others say so instead of hanging too."""
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 20)
    path = made(tmp_path / "store.db")
    with sqlite_file.lock(path), pytest.raises(Unavailable, match="another process"), sqlite_file.lock(path):
        pass
    with sqlite_file.lock(path):
        pass
