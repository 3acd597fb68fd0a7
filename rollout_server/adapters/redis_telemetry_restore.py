"""Telemetry of a backup as the keys that Redis keeps it in."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters import redis_telemetry_rows as rows
from rollout_server.adapters.sqlite_telemetry_rows import read_bound, read_cell, unsigned
from rollout_server.domain.telemetry import RunId

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

AT_ONCE = 500
"""Pairs in one command."""


def commands(file: sqlite3.Connection, environment: str, window_ms: int) -> Iterator[tuple[Any, ...]]:
    """Yield what makes an environment's telemetry of the tables in a file; each may run twice."""
    key = rows.telemetry_key(environment)
    yield ("HSET", key, "window_ms", window_ms)
    found = file.execute(
        "SELECT id, rollout, number, last_window, fence, body FROM run WHERE environment = ?", (environment,)
    )
    for number, rollout, run, last_window, fence, body in found.fetchall():
        name = rows.run_name(RunId(rollout, run))
        yield ("HSET", f"{key}:runs", name, last_window)
        if body is not None:
            yield ("HSET", rows.of_run(key, name, "checkpoint"), "fence", fence, "body", body)
        yield from _run(file, number, partial(rows.of_run, key, name))
    yield from _rest(file, environment, key)


def _run(file: sqlite3.Connection, number: int, of: Callable[[str], str]) -> Iterator[tuple[Any, ...]]:
    metrics: set[str] = set()
    yield from _hset(of("judged"), file.execute("SELECT metric, window FROM judged WHERE run = ?", (number,)))
    bounds = (
        (metric, rows.write_bound(read_bound(bound)))
        for metric, bound in file.execute("SELECT metric, bound FROM sample WHERE run = ?", (number,))
        if read_bound(bound) < EVERYTHING
    )
    yield from _hset(of("bounds"), bounds)
    yield from _sadd(of("strata"), (name for (name,) in _asked(file, "SELECT name FROM stratum WHERE run = ?", number)))
    cells = file.execute(
        "SELECT metric, window, allocation, reach_ppm, arm, stratum, body FROM cell WHERE run = ?"
        " ORDER BY metric, window",
        (number,),
    )
    for (metric, window), group in groupby(cells, itemgetter(0, 1)):
        metrics.add(metric)
        yield ("ZADD", of(f"windows:{metric}"), window, window)
        fields = (("\0".join(map(str, row[2:6])), rows.write_cell(read_cell(row[6]))) for row in group)
        yield from _hset(of(f"window:{metric}:{window}"), fields)
    outcomes = file.execute("SELECT metric, unit FROM outcome WHERE run = ? ORDER BY metric", (number,))
    for metric, group in groupby(outcomes, itemgetter(0)):
        metrics.add(metric)
        yield from _sadd(of(f"outcomes:{metric}"), (rows.write_unit(unsigned(unit)) for _, unit in group))
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    yield from _hset(of("units"), _units(file, number, counts))
    for window, seen in counts.items():
        yield ("ZADD", of("windows:"), window, window)
        yield from _hset(of(f"window::{window}"), seen.items())
    yield from _sadd(of("metrics"), sorted(metrics | ({""} if counts else set())))


def _units(
    file: sqlite3.Connection, number: int, counts: defaultdict[int, Counter[str]]
) -> Iterator[tuple[bytes, str]]:
    """Yield each unit and what is known of it, and count it where it was seen."""
    found = file.execute(
        "SELECT unit, exposed, reporting, allocation, reach_ppm, arm, stratum FROM unit WHERE run = ?", (number,)
    )
    for unit, exposed, reporting, *place in found:
        home = "\0".join(map(str, place))
        for what, window in (("exposed", exposed), ("reporting", reporting)):
            if window is not None:
                counts[window][f"{home}\0{what}"] += 1
        windows = " ".join("" if window is None else str(window) for window in (exposed, reporting))
        yield rows.write_unit(unsigned(unit)), f"{windows} {home}"


def _rest(file: sqlite3.Connection, environment: str, key: str) -> Iterator[tuple[Any, ...]]:
    ledger = _asked(file, "SELECT book, name, count FROM ledger WHERE environment = ?", environment)
    yield from _hset(f"{key}:ledger", ((f"{book} {name}", count) for book, name, count in ledger))
    for window, lived, lost in _asked(
        file, "SELECT window, lived, lost FROM process WHERE environment = ?", environment
    ):
        yield ("ZADD", f"{key}:process-windows", window, window)
        yield ("HSET", f"{key}:processes", f"{window} lived", lived, f"{window} lost", lost)
    instances = _asked(file, "SELECT name, sequence, heard_at_ms FROM instance WHERE environment = ?", environment)
    for chunk in _chunks(instances):
        yield ("HSET", f"{key}:instances", *(word for name, sequence, _ in chunk for word in (name, sequence)))
        yield ("ZADD", f"{key}:heard", *(word for name, _, at_ms in chunk for word in (at_ms, name)))


def _asked(file: sqlite3.Connection, question: str, whose: str | int) -> Iterator[tuple[Any, ...]]:
    yield from file.execute(question, (whose,))


def _hset(key: str, pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, ...]]:
    for chunk in _chunks(pairs):
        yield ("HSET", key, *(word for pair in chunk for word in pair))


def _sadd(key: str, members: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for chunk in _chunks(members):
        yield ("SADD", key, *chunk)


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    each = iter(items)
    while chunk := list(islice(each, AT_ONCE)):
        yield chunk
