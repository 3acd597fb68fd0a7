"""Rows: what load notices, and what is written with what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollout_server.adapters import sqlite_rows as rows
from rollout_server.adapters.sqlite_schema import SCHEMA
from rollout_server.errors import Conflict, Corrupt
from tests.doubles.fake_clock import START_MS
from tests.journal_world import cohort, draft, flag, flag_id

DAY_MS = 86_400_000


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        assert rows.ensure_environments(connection, ["production", "staging"]) == {"production": 1, "staging": 2}
        yield connection


def fill(tables: sqlite3.Connection) -> None:
    rows.append(tables, 1, draft(flag("a"), flag("b")), START_MS)
    rows.append(tables, 1, draft(flag("a", "on"), cohort("c")), START_MS)
    rows.append(tables, 1, draft(flag_id("b")), START_MS)


def test_environments_do_not_see_each_other(tables: sqlite3.Connection) -> None:
    """The same key, revision and idempotency key in two environments are two things."""
    first = rows.append(tables, 1, draft(flag("a"), idempotency_key="k", fingerprint="f1"), START_MS)
    second = rows.append(tables, 2, draft(flag("a", "on"), idempotency_key="k", fingerprint="f2"), START_MS)
    assert first.revision == second.revision == 1
    assert rows.load(tables, 1).resources[flag_id("a")] == flag("a").at_version(1)
    assert rows.load(tables, 2).resources[flag_id("a")] == flag("a", "on").at_version(1)
    assert rows.standing(tables, 1).epoch != rows.standing(tables, 2).epoch


def test_environments_are_made_once(tables: sqlite3.Connection) -> None:
    """Opening again finds what is there, with its epoch, and adds only what is new."""
    epoch = rows.standing(tables, 1).epoch
    assert rows.ensure_environments(tables, ["new", "production"]) == {"new": 3, "production": 1}
    assert rows.standing(tables, 1).epoch == epoch


def test_a_copy_makes_every_environment_a_new_epoch_once(tables: sqlite3.Connection) -> None:
    """Whoever opens a backup, by whatever names, makes all of its histories new ones; opening again does not."""
    before = [rows.standing(tables, number).epoch for number in (1, 2)]
    tables.execute("UPDATE store SET is_copy = 1")
    rows.ensure_environments(tables, ["staging"])
    after = [rows.standing(tables, number).epoch for number in (1, 2)]
    assert len({*before, *after}) == 4
    rows.ensure_environments(tables, ["staging"])
    assert [rows.standing(tables, number).epoch for number in (1, 2)] == after


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE resource SET body = CAST(replace(CAST(body AS TEXT), 'payments', 'eve') AS BLOB) WHERE key = 'a'",
        "UPDATE resource SET body = CAST(body AS TEXT) WHERE key = 'a'",
        "UPDATE resource SET version = 'two' WHERE key = 'a'",
        "UPDATE environment SET marks = 'zero' WHERE id = 1",
        "UPDATE entry SET at_ms = 0.5 WHERE revision = 3",
        "UPDATE resource SET version = 3 WHERE key = 'a'",
        "UPDATE resource SET key = 'z' WHERE key = 'a'",
        "UPDATE resource SET kind = 'Sword' WHERE key = 'a'",
        "UPDATE resource SET body = x'00' WHERE key = 'a'",
        "DELETE FROM resource WHERE key = 'c'",
        "INSERT INTO resource SELECT environment, kind, 'copy', version, body FROM resource WHERE key = 'a'",
        "UPDATE environment SET revision = 2 WHERE id = 1",
        "UPDATE environment SET revision = 4 WHERE id = 1",
        "UPDATE environment SET digest = zeroblob(32) WHERE id = 1",
        "UPDATE environment SET at_ms = 7 WHERE id = 1",
        "UPDATE entry SET body = x'00' WHERE revision = 3",
        "UPDATE entry SET digest = zeroblob(32) WHERE revision = 2",
        "DELETE FROM entry WHERE revision = 3",
        "DELETE FROM entry WHERE revision = 2",
    ],
)
def test_load_notices_what_was_not_committed(tables: sqlite3.Connection, tampering: str) -> None:
    """A resource or an end of the chain that was changed in the file is refused at start, not served."""
    fill(tables)
    assert rows.load(tables, 1).position.revision == 3
    assert tables.execute(tampering).rowcount == 1
    with pytest.raises(Corrupt) as refusal:
        rows.load(tables, 1)
    assert "backup" in refusal.value.hint


def test_a_conflict_writes_nothing(tables: sqlite3.Connection) -> None:
    """A refused draft leaves every table as it was."""
    fill(tables)
    before = tables.total_changes
    with pytest.raises(Conflict):
        rows.append(tables, 1, draft(flag("a"), reads={flag_id("b"): 1}, idempotency_key="k"), START_MS)
    assert tables.total_changes == before


def test_forgotten_keys_make_room(tables: sqlite3.Connection) -> None:
    """Keys older than 7 days are deleted as new ones come, so that the table does not grow for ever."""
    for n in range(50):
        rows.append(tables, 1, draft(flag("a"), idempotency_key=f"k{n}"), START_MS + n)
    rows.append(tables, 1, draft(flag("a"), idempotency_key="late"), START_MS + 7 * DAY_MS + 48)
    assert tables.execute("SELECT key FROM idempotency ORDER BY key").fetchall() == [("k49",), ("late",)]


def test_a_key_survives_a_clock_that_went_back(tables: sqlite3.Connection) -> None:
    """A key from what is now the future still answers."""
    intent = draft(flag("a"), idempotency_key="k", fingerprint="f")
    first = rows.append(tables, 1, intent, START_MS)
    assert rows.append(tables, 1, intent, START_MS - 30 * DAY_MS) == first


def test_the_history_of_one_flag_is_found_by_index(tables: sqlite3.Connection, tmp_path: Path) -> None:
    """Asking for one flag's history reads that flag's rows, however long the log is."""
    fill(tables)
    asked: list[str] = []
    tables.set_trace_callback(asked.append)
    rows.lines_before(tables, 1, flag_id("a"), 9, 5)
    plan = " ".join(row[3] for row in tables.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
