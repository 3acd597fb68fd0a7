"""A backup as a store of SQLite: put in its place by a setting or by hand, and taken apart at the start.

Both ways meet at `take_apart`: the journal stays where the backup lies, its telemetry and notes go where they belong.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.adapters import backup_file, sqlite_file
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY
from rollout_server.errors import Corrupt, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_server.adapters.backup_file import Part

_BY_ENVIRONMENT = ("instance", "ledger", "process", "run")
_BY_RUN = ("cell", "judged", "outcome", "sample", "stratum", "unit")


@dataclass(frozen=True, slots=True)
class TakenApart:
    """What became of a backup.

    Attributes:
        environments: whose telemetry was restored.
        left_out: environments whose telemetry was not: one file has windows of one length.
        set_aside: where a telemetry file of another history went that lay there; None where there was none.
        damage: why none was restored; empty where there is nothing to say.
    """

    environments: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    set_aside: Path | None = None
    damage: str = ""


def place(source: Path, store: Path, key: bytes) -> None:
    """Copy a backup, after all of it was checked, to where a store belongs. Blocks.

    Args:
        source: the backup.
        store: of SQLite; there must be none.
        key: the server's own.

    Raises:
        Refused: "store-not-empty", there is a store; others as `backup_file.open_backup`.
        Corrupt, NotFound, Unavailable: as `backup_file.open_backup`. Nothing was written.
    """
    if store.exists():
        hint = "if it was restored before, take `restore` out; else choose another data, or move away what lies there"
        raise Refused("store-not-empty", f"{store} is there already", hint)
    backup_file.open_backup(source, key).connection.close()
    part = store.with_name(f".{store.name}.part-{secrets.token_hex(4)}")
    with refusals(store):
        try:
            part.touch(mode=0o600)
            shutil.copyfile(source.expanduser(), part)
            sqlite_file.sync(part)
            part.rename(store)
            sqlite_file.sync(store.parent)
        finally:
            part.unlink(missing_ok=True)


def take_apart(store: Path, telemetry: Path, note_file: Callable[[str], Path]) -> TakenApart | None:
    """Take the telemetry and the notes out of a backup that lies in the place of a store. Blocks.

    To be called before the store is opened, which makes it one of its own; after a crash in between all of it is done
    again. Telemetry that lies there is of another history, mostly of a later one, and knows of runs and allocations
    that this one has yet to open; it is set aside.

    Args:
        store: where a store is, or a backup, or nothing.
        telemetry: where its telemetry belongs.
        note_file: where the notes of an environment belong; one that is there is newer, and is kept.

    Returns:
        None where there is no backup.

    Raises:
        Refused: "store-format", a later release wrote it.
        Unavailable: the disk refuses.
    """
    store, telemetry = store.resolve(), telemetry.resolve()
    with refusals(store):
        if not sqlite_file.is_journal(store):
            return None
        with closing(_connect(store)) as connection:
            if not _is_copy(connection):
                return None
            damage, parts = "", dict[str, backup_file.Part]()
            try:
                _, parts = backup_file.read_parts(connection, store)
            except (Corrupt, sqlite3.DatabaseError) as error:
                damage = str(error)
        set_aside = _set_aside(telemetry)
        chosen = _of_one_length(parts)
        if chosen:
            _extract(store, telemetry, chosen)
        for name, part in parts.items():
            if part.note is not None and not note_file(name).exists():
                _write(note_file(name), part.note)
        left_out = tuple(name for name, part in parts.items() if part.window_ms and name not in chosen)
        return TakenApart(chosen, left_out, set_aside, damage)


def _connect(store: Path) -> sqlite3.Connection:
    """Open it as it lies there; with its own log, where something was written to it before a server came."""
    if sqlite_file.is_untouched(store):
        return backup_file.connect(store)
    return sqlite_file.connect(store, is_reader=True)


def _is_copy(connection: sqlite3.Connection) -> bool:
    try:
        row: tuple[int] | None = connection.execute("SELECT is_copy FROM store").fetchone()
    except sqlite3.DatabaseError:
        return False  # whoever opens it says what is wrong with it
    return row == (1,)


def _of_one_length(parts: Mapping[str, Part]) -> tuple[str, ...]:
    lengths = {name: part.window_ms for name, part in sorted(parts.items()) if part.window_ms}
    first = next(iter(lengths.values()), 0)
    return tuple(name for name, window_ms in lengths.items() if window_ms == first)


def _extract(store: Path, telemetry: Path, environments: tuple[str, ...]) -> None:
    part = telemetry.with_name(f".{telemetry.name}.part-{secrets.token_hex(4)}")
    marks = ", ".join("?" * len(environments))
    try:
        sqlite_file.create(part, TELEMETRY)
        with closing(sqlite3.connect(part.as_uri(), uri=True, isolation_level=None)) as made:
            made.execute("PRAGMA synchronous = OFF")  # it is synced once, when it is whole
            how = "mode=ro&immutable=1" if sqlite_file.is_untouched(store) else "mode=rw"
            made.execute("ATTACH ? AS backup", (f"{store.as_uri()}?{how}",))
            made.execute("BEGIN")
            for table in _BY_ENVIRONMENT:
                rows = f"SELECT * FROM backup.{table} WHERE environment IN ({marks})"  # noqa: S608 - names of tables
                made.execute(f"INSERT INTO main.{table} {rows}", environments)
            for table in _BY_RUN:
                rows = f"SELECT * FROM backup.{table} WHERE run IN (SELECT id FROM main.run)"  # noqa: S608 - the same
                made.execute(f"INSERT INTO main.{table} {rows}")
            window = "SELECT window_ms FROM backup.part WHERE environment = ?"
            made.execute(f"UPDATE main.meta SET window_ms = ({window})", environments[:1])  # noqa: S608 - a constant
            made.execute("COMMIT")
        sqlite_file.sync(part)
        part.rename(telemetry)
        sqlite_file.sync(telemetry.parent)
    finally:
        part.unlink(missing_ok=True)


def _set_aside(telemetry: Path) -> Path | None:
    aside = telemetry.with_name(f"{telemetry.name}.replaced-{secrets.token_hex(4)}")
    was_there = telemetry.exists()
    for suffix in ("", "-wal", "-shm"):
        beside = Path(f"{telemetry}{suffix}")
        if beside.exists():
            beside.rename(f"{aside}{suffix}")
    return aside if was_there else None


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
