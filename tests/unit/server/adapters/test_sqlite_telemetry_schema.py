"""The tables of the telemetry store."""

import sqlite3

from rollout_server.adapters.sqlite_schema import JOURNAL
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY


def test_the_tables_are_those_that_are_named() -> None:
    """Whoever opens a file looks for each of them."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(TELEMETRY.schema)
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    assert {name for (name,) in found} == TELEMETRY.tables


def test_two_kinds_of_file_are_never_mixed_up() -> None:
    """Each has its own mark in the header."""
    assert TELEMETRY.application_id != JOURNAL.application_id
