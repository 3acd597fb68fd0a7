"""What SQLite says, as errors of this service."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rollout_server.adapters.sqlite_refusals import refusal, refusals
from rollout_server.errors import Corrupt, Unavailable

PATH = Path("store.db")


def error(code: int) -> sqlite3.Error:
    made = sqlite3.OperationalError("words of SQLite")
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_READONLY_DBMOVED, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_CORRUPT_VTAB, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
    ],
)
def test_each_says_what_happened_where_and_what_next(code: int, kind: type[Exception]) -> None:
    """Extended codes count as their family; every refusal names the file and has a hint."""
    found = refusal(error(code), PATH)
    assert type(found) is kind
    assert "store.db" in str(found)
    assert "words of SQLite" in str(found)
    assert found is not None
    assert found.hint


def test_our_own_mistakes_stay_what_they_are() -> None:
    """Wrong SQL is a bug, not a store that is away."""
    with pytest.raises(sqlite3.OperationalError, match="syntax"), refusals(PATH):
        sqlite3.connect(":memory:").execute("SELEKT 1")


def test_the_file_system_counts_too() -> None:
    """An error of the file system is the store being away."""
    with pytest.raises(Unavailable, match="Permission denied"), refusals(PATH):
        raise PermissionError(13, "Permission denied")
