"""What SQLite and the file system say, as the errors of this service."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rollout_server.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rollout_server.errors import RolloutError

DAMAGED_HINT = (
    "stop the server, keep the damaged file aside, put a backup made by `rollout backup` in its place and start "
    "again; clients keep deciding with what they hold"
)

# Primary result codes; the extended code's low byte.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_AWAY = {
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space; the server goes on by itself"),
    sqlite3.SQLITE_IOERR: (
        "the disk refuses",
        "look at the disk and its limits, then repeat the command with the same idempotency key",
    ),
    sqlite3.SQLITE_READONLY: ("it is read-only here", "let the server write to the file and to its directory"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "let the server read and write the file and its directory"),
    sqlite3.SQLITE_PERM: ("it may not be opened", "let the server read and write the file and its directory"),
    sqlite3.SQLITE_BUSY: ("another process holds it", "try again; if it lasts, look for a process that hangs"),
    sqlite3.SQLITE_LOCKED: ("another process holds it", "try again; if it lasts, look for a process that hangs"),
    sqlite3.SQLITE_PROTOCOL: ("its lock cannot be had", "try again; a network file system cannot hold this file"),
    sqlite3.SQLITE_NOLFS: ("it is too large for this file system", "move it to another file system"),
    sqlite3.SQLITE_NOMEM: ("memory is short", "give the server more memory"),
}


def refusal(error: sqlite3.Error | OSError, path: Path, damaged_hint: str = DAMAGED_HINT) -> RolloutError | None:
    """Return what an error means for a caller; None where it is a bug of ours."""
    if isinstance(error, OSError):
        return Unavailable("journal", f"{path}: {error.strerror or error}", "let the server read and write there")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not of SQLite but of Python's module, which meets text that is not UTF-8, or is misused by us
        code = sqlite3.SQLITE_CORRUPT if type(error) is sqlite3.OperationalError else sqlite3.SQLITE_ERROR
    code &= 0xFF
    if code in _DAMAGED:
        return Corrupt(str(path), f"the database is damaged ({error})", damaged_hint)
    if code in _AWAY:
        what, hint = _AWAY[code]
        return Unavailable("journal", f"{path}: {what} ({error})", hint)
    return None


@contextmanager
def refusals(path: Path, damaged_hint: str = DAMAGED_HINT) -> Iterator[None]:
    """Raise what goes wrong inside as `Unavailable` or `Corrupt`; bugs stay what they are."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        meaning = refusal(error, path, damaged_hint)
        if meaning is None:
            raise
        raise meaning from error
