"""Compaction, step by step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from rollout_server.adapters import sqlite_compaction
from rollout_server.adapters import sqlite_rows as rows
from rollout_server.adapters.sqlite_compaction import propose, put_in_force, sweep
from rollout_server.adapters.sqlite_schema import SCHEMA
from rollout_server.domain.verification import verify_history
from rollout_server.errors import Corrupt
from tests.doubles.fake_clock import START_MS
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag, flag_id


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        rows.ensure_environments(connection, ["production", "staging"])
        for n in range(10):
            for environment in (1, 2):
                item = draft(flag("a", "on" if n % 2 else "off"), flag(f"f{n}"), at_ms=START_MS + n)
                rows.append(connection, environment, item, START_MS)
        yield connection


def count(tables: sqlite3.Connection, environment: int = 1) -> int:
    return int(tables.execute("SELECT count(*) FROM entry WHERE environment = ?", (environment,)).fetchone()[0])


def intact(tables: sqlite3.Connection, environment: int = 1, name: str = "production") -> bool:
    return verify_history(rows.stored_history(tables, environment, name, KEY)).intact


def test_between_two_steps_everything_holds(tables: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after any step, the store loads, verifies, and shows only what the checkpoint does not stand for."""
    monkeypatch.setattr(sqlite_compaction, "DELETE_AT_ONCE", 2)
    before = rows.load(tables, 1)
    proposal = propose(tables, 1, "production", KEY, START_MS + 7)
    assert proposal is not None
    assert (proposal.base, proposal.revision, intact(tables)) == (0, 7, True)
    assert put_in_force(tables, 1, proposal)
    left = []
    while True:
        assert rows.load(tables, 1) == before
        assert intact(tables)
        assert [line.revision for line in rows.lines_before(tables, 1, None, 99, 99)] == [10, 9, 8]
        assert [line.revision for line in rows.lines_before(tables, 1, flag_id("a"), 99, 99)] == [10, 9, 8]
        left.append(count(tables))
        if not sweep(tables, 1):
            break
    assert left == [10, 8, 6, 4, 3]
    assert (count(tables, 2), intact(tables, 2, "staging")) == (10, True)


def test_the_loser_of_a_race_changes_nothing(tables: sqlite3.Connection) -> None:
    """Two servers that compact at once: one checkpoint is put in force, the other proposal is dropped."""
    first = propose(tables, 1, "production", KEY, START_MS + 5)
    second = propose(tables, 1, "production", KEY, START_MS + 3)
    assert first is not None
    assert second is not None
    assert put_in_force(tables, 1, first)
    assert not put_in_force(tables, 1, second)
    assert rows.standing(tables, 1).oldest == 5
    assert intact(tables)


def test_what_does_not_hold_is_never_signed(tables: sqlite3.Connection) -> None:
    """Compaction of a tampered log would hide the tampering: it is refused."""
    tables.execute(
        "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'mia@', 'eve@') AS BLOB) WHERE revision = 2"
    )
    with pytest.raises(Corrupt, match="entry 2: its digest"):
        propose(tables, 1, "production", KEY, START_MS + 7)


def test_a_forged_checkpoint_is_never_built_upon(tables: sqlite3.Connection) -> None:
    """Folding on from a checkpoint that this server did not sign would launder it."""
    proposal = propose(tables, 1, "production", bytes(32), START_MS + 5)
    assert proposal is not None
    put_in_force(tables, 1, proposal)
    with pytest.raises(Corrupt, match="not signed"):
        propose(tables, 1, "production", KEY, START_MS + 9)


def test_the_end_of_the_chain_is_checked_across_the_checkpoint(tables: sqlite3.Connection) -> None:
    """Loading checks the first entry after a checkpoint against it."""
    proposal = propose(tables, 1, "production", KEY, START_MS + 9)
    assert proposal is not None
    put_in_force(tables, 1, proposal)
    while sweep(tables, 1):
        pass
    assert count(tables) == 1
    assert rows.load(tables, 1).position.revision == 10
    tables.execute("UPDATE entry SET body = x'00' WHERE environment = 1")
    with pytest.raises(Corrupt):
        rows.load(tables, 1)
