"""States of the past, by index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from rollout_server.adapters import sqlite_rows as rows
from rollout_server.adapters.sqlite_replay import state_at
from rollout_server.adapters.sqlite_schema import SCHEMA
from rollout_server.domain.journal import State
from rollout_server.errors import Corrupt, NotFound
from tests.doubles.fake_clock import START_MS
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag, flag_id


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        rows.ensure_environments(connection, ["production", "staging"])
        for n in range(50):
            rows.append(connection, 1, draft(flag("a", "on" if n % 2 else "off"), at_ms=START_MS + n), START_MS)
        rows.append(connection, 2, draft(flag("a", "on")), START_MS)
        yield connection


def at(tables: sqlite3.Connection, revision: int | None = None, at_ms: int | None = None) -> State:
    return state_at(tables, 1, "production", KEY, revision, at_ms)


def test_only_the_last_word_on_each_resource_is_read(tables: sqlite3.Connection) -> None:
    """Fifty changes of one flag: the state at any of them reads one entry's body for it, and one for the digest."""
    asked: list[str] = []
    tables.set_trace_callback(asked.append)
    assert at(tables, 40).resources[flag_id("a")] == flag("a", "on").at_version(40)
    assert sum("body FROM entry" in statement for statement in asked) == 2


def test_a_time_is_the_last_entry_at_or_before_it(tables: sqlite3.Connection) -> None:
    """Between two entries the earlier one stands; before the first there was nothing."""
    assert at(tables, at_ms=START_MS + 9).position.revision == 10
    assert at(tables, at_ms=START_MS + 10_000).position.revision == 50
    assert at(tables, at_ms=START_MS - 1).position.revision == 0
    with pytest.raises(NotFound):
        at(tables, 51)


def test_an_index_that_points_nowhere_is_damage(tables: sqlite3.Connection) -> None:
    """An entry that was removed from the file is named, not passed over."""
    tables.execute("DELETE FROM entry WHERE revision = 40")
    with pytest.raises(Corrupt, match="entry 40"):
        at(tables, 40)
    tables.execute("UPDATE entry SET body = x'00' WHERE revision = 41")
    with pytest.raises(Corrupt, match="entry 41"):
        at(tables, 41)
