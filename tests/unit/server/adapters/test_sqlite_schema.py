"""The tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from rollout_server.adapters.sqlite_schema import SCHEMA, TABLES


def test_the_schema_makes_the_tables_it_names() -> None:
    """What opening a file demands is what making one gives."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        assert {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == TABLES
        assert connection.execute("SELECT is_copy FROM store").fetchall() == [(0,)]
