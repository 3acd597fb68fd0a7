"""The file that `rollout backup` writes, whichever store it comes from: one format, for either store.

It is a journal's file with the tables of a telemetry file beside its own (no name is in both), so that it can also be
put in the place of a store by hand. One row says what it is made of, and holds a digest of what the journal's own
chain does not vouch for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_server.adapters import sqlite_file, sqlite_rows
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.adapters.sqlite_schema import JOURNAL
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY
from rollout_server.domain.checkpoint import unseal
from rollout_server.domain.verification import verify_history
from rollout_server.errors import Corrupt, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rollout_server.ports import Clock

FORMAT = 1
"""Raised by a release that changes what is in a backup; a later one is refused."""

DAMAGED_HINT = "use another backup; this one was only read, and nothing was restored"

_SCHEMA = """
CREATE TABLE backup (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  format          INTEGER NOT NULL,
  telemetry_at_ms INTEGER NOT NULL,           -- when copying the telemetry began: all of it that was there then is here
  journal_at_ms   INTEGER NOT NULL,           -- when copying the journal began: later than the end of the telemetry's
  digest          BLOB NOT NULL               -- of the tables of the telemetry and of `part`
);
CREATE TABLE part (
  environment TEXT PRIMARY KEY,
  window_ms   INTEGER NOT NULL,               -- of its telemetry; 0 where it has none
  note        BLOB                            -- who was told what, as JSON; NULL where nobody was
);
"""


@dataclass(frozen=True, slots=True)
class Part:
    """What one environment has besides its journal and its sums.

    Attributes:
        window_ms: how long its windows are; 0 where it has no telemetry.
        note: of `ports.FencedNotes`, as JSON.
    """

    window_ms: int
    note: bytes | None


@dataclass(frozen=True, slots=True)
class Sources:
    """What a backup is copied from.

    Attributes:
        telemetry: writes a telemetry file of all environments.
        parts: returns what else belongs to each, by name.
        journal: writes a journal file of all environments.
    """

    telemetry: Callable[[Path], Awaitable[None]]
    parts: Callable[[], Awaitable[Mapping[str, Part]]]
    journal: Callable[[Path], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was found whole, open for reading.

    Attributes:
        numbers: of the environments in the journal's tables, by name.
        parts: by name; empty for a file of a release that put no telemetry into it.
        at_ms: when copying the journal began, None likewise.
    """

    connection: sqlite3.Connection
    numbers: Mapping[str, int]
    parts: Mapping[str, Part]
    at_ms: int | None


async def write(sources: Sources, target: Path, clock: Clock) -> None:
    """Write a backup: telemetry first, the journal after it. The order is what makes it safe to go on from.

    A controller keeps its evidence before it commits the entry that rests on it, and its progress after. So telemetry
    that is older than the journal is what a crash leaves, and it knows how to go on from that: soak that belongs to
    another transition than the journal's last is void, and windows that were not judged are judged again. The other
    way round there would be evidence of runs and allocations that the journal has yet to open, and it would open them
    again, under the same numbers, with that evidence in them.

    Raises:
        Refused: "backup-target", there is such a file.
        Unavailable: the store is away, or the target cannot be written.
    """
    with refusals(target), tempfile.TemporaryDirectory(prefix=".rollout-backup-", dir=target.parent) as name:
        telemetry, journal = Path(name, "telemetry.db"), Path(name, "journal.db")
        telemetry_at_ms = clock.now_ms()
        await sources.telemetry(telemetry)
        parts = await sources.parts()
        journal_at_ms = clock.now_ms()
        await sources.journal(journal)
        await asyncio.to_thread(_join, journal, telemetry, parts, (telemetry_at_ms, journal_at_ms))
        await asyncio.to_thread(_put, journal, target)


def open_backup(source: Path, key: bytes) -> Backup:
    """Open a backup and check all of it. It is only read, and left as it is; the caller closes it. Blocks.

    Args:
        source: the file.
        key: the server's own, which signed the checkpoints.

    Raises:
        NotFound: there is no such file.
        Corrupt: it is cut short, damaged, of another program, or its checkpoints were signed with another server's key.
        Refused: "store-format", a later release wrote it; "not-a-backup", it is a store that was in use.
        Unavailable: it cannot be read.
    """
    source = source.expanduser().resolve()
    if not source.is_file():
        raise NotFound("file", str(source), "name a file that `rollout backup` wrote")
    with refusals(source, DAMAGED_HINT):
        sqlite_file.check_header(source, JOURNAL, DAMAGED_HINT)
        connection = connect(source)
        try:
            _check_formats(connection, source)
            _check_pages(connection, source)
            numbers = dict(connection.execute("SELECT name, id FROM environment").fetchall())
            for name, number in numbers.items():
                _check_journal(connection, source, name, number, key)
            at_ms, parts = read_parts(connection, source)
        except BaseException:
            connection.close()
            raise
        return Backup(connection, numbers, parts, at_ms)


def connect(path: Path) -> sqlite3.Connection:
    """Open a file that nobody writes to, without a trace in it or beside it."""
    return sqlite3.connect(
        f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )


def read_parts(connection: sqlite3.Connection, source: Path) -> tuple[int | None, dict[str, Part]]:
    """Return when the journal was copied, and what is in a backup besides it.

    Of a file that an earlier release wrote, which put nothing else into it, None and nothing.

    Raises:
        Corrupt: the telemetry in it is not what was written.
        Refused: "store-format", a later release wrote it.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'backup'").fetchone():
        return None, {}
    row = connection.execute("SELECT format, journal_at_ms, digest FROM backup").fetchone()
    if row is not None and row[0] > FORMAT:
        what = f"{source} was written by a later release (backup format {row[0]}; this one reads up to {FORMAT})"
        raise Refused("store-format", what, "start that release; nothing was restored")
    if row is None or row[2] != _digest(connection):
        raise Corrupt(str(source), "its telemetry is not what was written: the backup is damaged", DAMAGED_HINT)
    found = connection.execute("SELECT environment, window_ms, note FROM part").fetchall()
    return row[1], {name: Part(window_ms, note) for name, window_ms, note in found}


def _put(made: Path, target: Path) -> None:
    try:
        os.link(made, target)  # unlike a rename, it never replaces what is there
    except FileExistsError:
        raise Refused("backup-target", f"{target} exists already", "name another file") from None
    sqlite_file.sync(target.parent)


def _join(journal: Path, telemetry: Path, parts: Mapping[str, Part], at_ms: tuple[int, int]) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as made:
        made.execute("PRAGMA synchronous = OFF")  # it is synced once, when it is whole
        made.execute("ATTACH ? AS sums", (str(telemetry),))
        made.executescript(TELEMETRY.schema + _SCHEMA)
        made.execute("DELETE FROM main.meta")
        made.execute("BEGIN")
        for table in sorted(TELEMETRY.tables):
            made.execute(f"INSERT INTO main.{table} SELECT * FROM sums.{table}")  # noqa: S608 - a table's name
        made.executemany(
            "INSERT INTO part VALUES (?, ?, ?)", ((name, part.window_ms, part.note) for name, part in parts.items())
        )
        # Checkpoints are kept under tokens of the lease: the next one must be above them in whatever store they come.
        made.execute(
            "INSERT OR REPLACE INTO lease SELECT id, max(coalesce(fence, 0), newest) FROM"
            " (SELECT id, (SELECT max(run.fence) FROM run WHERE run.environment = name) AS newest FROM environment)"
            " LEFT JOIN lease ON lease.environment = id WHERE newest IS NOT NULL"
        )
        made.execute("INSERT INTO backup VALUES (1, ?, ?, ?, ?)", (FORMAT, *at_ms, _digest(made)))
        made.execute("COMMIT")
        made.execute("DETACH sums")
        telemetry.unlink()  # room for what follows, which takes as much again
        made.execute("VACUUM")
    sqlite_file.sync(journal)


def _check_formats(connection: sqlite3.Connection, source: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > JOURNAL.format:
        what = f"{source} was written by a later release (format {found}; this one reads up to {JOURNAL.format})"
        raise Refused("store-format", what, "start that release; nothing was restored")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := sorted(JOURNAL.tables - tables - ({"lease"} if found < JOURNAL.format else set())):
        raise Corrupt(str(source), f"tables are missing: {', '.join(missing)}", DAMAGED_HINT)
    if connection.execute("SELECT is_copy FROM store").fetchone() != (1,):
        what = f"{source} is the file of a store, and no backup: what was written last may lie beside it"
        raise Refused("not-a-backup", what, "start a server on that store, and let `rollout backup` copy it")


def _check_pages(connection: sqlite3.Connection, source: Path) -> None:
    ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise Corrupt(str(source), f"the backup is damaged: {found}", DAMAGED_HINT)


def _check_journal(connection: sqlite3.Connection, source: Path, name: str, number: int, key: bytes) -> None:
    unseal(sqlite_rows.sealed(connection, number), name, key)  # says what to do where the key is another one
    sqlite_rows.load(connection, number)
    found = verify_history(sqlite_rows.stored_history(connection, number, name, key), None)
    if not found.intact:
        raise Corrupt(str(source), f"the journal of {name} does not hold: {found.problem}", DAMAGED_HINT)


def _digest(connection: sqlite3.Connection) -> bytes:
    """Return what stands for every row that no chain vouches for, whatever way SQLite has laid them out."""
    digest = hashlib.sha256()
    for table in (*sorted(TELEMETRY.tables), "part"):
        columns = len(connection.execute(f"PRAGMA main.table_info({table})").fetchall())
        order = ", ".join(map(str, range(1, columns + 1)))
        digest.update(f"{table} {columns}\n".encode())
        for row in connection.execute(f"SELECT * FROM main.{table} ORDER BY {order}"):  # noqa: S608 - a table's name
            digest.update(b"".join(map(_word, row)))
    return digest.digest()


def _word(value: Any) -> bytes:  # noqa: ANN401 - whatever SQLite keeps
    content = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return f"{type(value).__name__} {len(content)} ".encode() + content
