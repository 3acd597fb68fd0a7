"""The store's file: made whole or not at all, opened only if it is ours, copied while in use."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.adapters.sqlite_refusals import DAMAGED_HINT, refusals
from rollout_server.adapters.sqlite_schema import JOURNAL
from rollout_server.errors import Corrupt, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.adapters.sqlite_schema import Layout

BUSY_MS = 5_000
"""How long a writer waits for another process before it says so."""

_LOCK_POLL_S = 0.001
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_PAGE_BYTES_AT = 16
_READ_VERSION_AT = 19
_ROLLBACK_JOURNAL = 1
_APPLICATION_ID_AT = 68
_SIDECARS = ("-wal", "-shm", "-journal", "-lock")


def ensure(path: Path, layout: Layout = JOURNAL) -> None:
    """Make the store if there is none, and refuse a file that is not a store.

    Raises:
        Corrupt: the file is empty, cut short, or not ours.
        Unavailable: it cannot be made or read here.
    """
    with refusals(path):
        _make_directory(path.parent)
        with lock(path):
            if not path.exists():
                create(path, layout)
            check_header(path, layout)
            _set_stale_log_aside(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)  # it holds token hashes and the keys of people


def connect(path: Path, *, is_reader: bool = False) -> sqlite3.Connection:
    """Open a connection that may move between threads, though two must never use it at once.

    Raises:
        sqlite3.Error: as SQLite says.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        if is_reader:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path, layout: Layout = JOURNAL) -> None:
    """Put the journal mode in force, bring an earlier format up to date, and refuse one that is not known.

    Raises:
        Refused: "store-format", a later release wrote it.
        Corrupt: tables are missing.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > layout.format:
        raise Refused(
            "store-format",
            f"{path} was written by a later release (format {found}; this one reads up to {layout.format})",
            "start that release, or restore a backup that was made before the upgrade",
        )
    for number, upgrade in enumerate(layout.upgrades[max(found, 1) - 1 :], max(found, 1) + 1):
        connection.executescript(f"BEGIN; {upgrade} PRAGMA user_version = {number}; COMMIT;")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := sorted(layout.tables - tables):
        raise Corrupt(str(path), f"tables are missing: {', '.join(missing)}", DAMAGED_HINT)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise Unavailable(
            layout.what, f"{path}: this file system cannot hold a write-ahead log", "move it to a local disk"
        )
    connection.execute("PRAGMA journal_size_limit = 67108864")


def check_current(connection: sqlite3.Connection, path: Path, layout: Layout = JOURNAL) -> None:
    """Refuse a file that `prepare` would bring up to date.

    Raises:
        Refused: "store-format", an earlier release wrote it.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found < layout.format:
        what = f"{path} was written by an earlier release (format {found}; this one writes {layout.format})"
        raise Refused("store-format", what, "use the `rollout` command of the release that wrote it")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the store against the writers and checkpoints of every other process.

    SQLite's own lock covers commits but not the checkpoint after them, and releases before 3.51.3 can lose a commit
    that meets the checkpoint of another connection (sqlite.org/wal.html, "the WAL-reset bug"). The kernel lets go of
    this lock when its holder dies.

    Raises:
        Unavailable: somebody held it for `BUSY_MS`.
        OSError: the lock file cannot be made.
    """
    descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        patience_ends_s = time.monotonic() + BUSY_MS / 1000
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > patience_ends_s:
                    raise Unavailable(
                        "journal",
                        f"{path}: another process has held it for {BUSY_MS // 1000} seconds",
                        "try again; if it lasts, look for a process that hangs",
                    ) from None
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int]:
    """Return what tells this file from another of the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def copy(source: sqlite3.Connection, store: Path, target: Path, layout: Layout = JOURNAL) -> None:
    """Write a consistent copy as a single file; the target is replaced in one step or left alone.

    The copy of a journal is marked as one.

    Raises:
        Refused: the target is this store, or belongs to a database in use.
        sqlite3.Error, OSError: the target cannot be written.
    """
    target = target.resolve()
    beside = [Path(f"{target}{suffix}") for suffix in _SIDECARS]
    if target in {store, *(Path(f"{store}{suffix}") for suffix in _SIDECARS)} or any(map(Path.exists, beside)):
        raise Refused("backup-target", f"{target} is a store in use", "name another file")
    part = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(part, isolation_level=None)) as made:
            source.backup(made)
            made.execute("PRAGMA journal_mode = DELETE")
            made.executescript(layout.on_copy)
        sync(part)
        part.rename(target)
        sync(target.parent)
    finally:
        _remove(part)


def create(path: Path, layout: Layout = JOURNAL) -> None:
    """Make an empty store; raises as SQLite and the file system say."""
    # Under another name until it is whole: a crash leaves no half-made store that looks like a damaged one.
    part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(part, isolation_level=None)) as made:
            made.execute(f"PRAGMA application_id = {layout.application_id}")
            made.execute(f"PRAGMA user_version = {layout.format}")
            made.executescript(f"BEGIN; {layout.schema} COMMIT;")
        sync(part)
        part.rename(path)
        sync(path.parent)
    finally:
        _remove(part)


def check_header(path: Path, layout: Layout = JOURNAL, damaged_hint: str = DAMAGED_HINT) -> None:
    """Look at the first bytes of a file.

    Raises:
        Corrupt: it is empty, cut short, or not ours.
    """
    header = _header(path)
    if not header:
        raise Corrupt(str(path), "the file is empty", f"{damaged_hint}; if there never was a store, remove the file")
    if not _MAGIC.startswith(header[: len(_MAGIC)]) or len(header) < _HEADER_BYTES:
        what = "the database is cut short" if header.startswith(_MAGIC) else "this is not a database"
        raise Corrupt(str(path), what, damaged_hint)
    if int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big") != layout.application_id:
        raise Corrupt(str(path), "this is a database of another program", "name another file; this one was not touched")
    page_bytes = int.from_bytes(header[_PAGE_BYTES_AT : _PAGE_BYTES_AT + 2], "big")
    log = Path(f"{path}-wal")
    # SQLite takes a torn last page for zeros. With a log beside it a crash may have left one that the log will mend.
    if path.stat().st_size % max(page_bytes, 512) and not (log.exists() and log.stat().st_size):
        raise Corrupt(str(path), "the database is cut short", damaged_hint)


def _set_stale_log_aside(path: Path) -> None:
    """After a crash and a restore, the log of the store that was replaced lies beside the backup.

    SQLite would read it over the backup, and the restore would be undone without a word. A backup is written for the
    rollback journal (header byte 19 is 1), and a store gets a write-ahead log only after that byte is 2.
    """
    if is_untouched(path):
        mark = secrets.token_hex(4)
        for suffix in ("-wal", "-shm"):
            beside = Path(f"{path}{suffix}")
            if beside.exists():
                beside.rename(f"{path}.replaced-{mark}{suffix}")


def is_journal(path: Path) -> bool:
    """Whether this is a journal's file, by its first bytes."""
    return path.is_file() and _header(path)[_APPLICATION_ID_AT:][:4] == JOURNAL.application_id.to_bytes(4, "big")


def is_untouched(path: Path) -> bool:
    """Whether nobody has opened this file since it was copied, or made: a log beside it is another file's."""
    return _header(path)[_READ_VERSION_AT:][:1] == bytes([_ROLLBACK_JOURNAL])


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _make_directory(directory: Path) -> None:
    if not directory.exists():
        _make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def sync(path: Path) -> None:
    """Return when the disk has this file, or the names in this directory.

    Raises:
        OSError: as the file system says.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(part: Path) -> None:
    for suffix in ("", *_SIDECARS):
        Path(f"{part}{suffix}").unlink(missing_ok=True)
