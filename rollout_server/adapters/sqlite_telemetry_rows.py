"""Rows of the telemetry store: what one report changes, inside one transaction of the writer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.telemetry import REST, STRATA_MAX, Receipt, RunId, bound_after

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

    from rollout_server.domain.telemetry import Intake, Outcome, Place

_SIGN: Final = 1 << 63
_ALL: Final = _SIGN - 1
"""Stands for the bound that keeps everything, which has one bit too many."""


def signed(unit: int) -> int:
    """Return a 64-bit hash as SQLite stores it; order is kept."""
    return unit - _SIGN


def unsigned(stored: int) -> int:
    """Undo `signed`."""
    return stored + _SIGN


def stored_bound(bound: int) -> int:
    """Return a bound as SQLite stores it."""
    return _ALL if bound >= EVERYTHING else bound - _SIGN


def read_bound(stored: int) -> int:
    """Return the bound that was stored."""
    return EVERYTHING if stored == _ALL else stored + _SIGN


def write_cell(cell: Cell) -> bytes:
    """Return a cell as it is stored."""
    flat = [number for pair in cell.histogram for number in pair]
    return json.dumps([cell.n, cell.x, cell.xx, flat, cell.bucket_n, cell.bucket_x], separators=(",", ":")).encode()


def read_cell(body: bytes) -> Cell:
    """Undo `write_cell`."""
    n, x, xx, flat, bucket_n, bucket_x = json.loads(body)
    histogram = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Cell(n, float(x), float(xx), histogram, tuple(bucket_n), tuple(map(float, bucket_x)))


def cell_of(values: Collection[float], *, has_bins: bool) -> Cell:
    """Return the sums of outcomes that count once each."""
    bins: dict[int, int] = {}
    if has_bins:
        for value in values:
            bins[bin_of(value)] = bins.get(bin_of(value), 0) + 1
    return Cell(
        len(values), float(sum(values)), float(sum(each * each for each in values)), tuple(sorted(bins.items()))
    )


class Commit:
    """One report on its way into the tables."""

    def __init__(self, connection: sqlite3.Connection, environment: str, intake: Intake) -> None:
        """Start, inside a transaction."""
        self._connection = connection
        self._environment = environment
        self._intake = intake
        self._runs: dict[RunId, int] = {}
        self._last: dict[RunId, int] = {}
        self._judged: dict[RunId, Mapping[str, int]] = {}
        self._strata: dict[RunId, set[str]] = {}
        self._late = 0

    def run(self) -> Receipt:
        """Commit the report, unless it was committed before."""
        intake = self._intake
        known = self._connection.execute(
            "SELECT sequence FROM instance WHERE environment = ? AND name = ?", (self._environment, intake.instance)
        ).fetchone()
        if known is not None and known[0] >= intake.sequence:
            return Receipt(is_repeat=True)
        self._connection.execute(
            "INSERT INTO instance VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " sequence = excluded.sequence, heard_at_ms = max(heard_at_ms, excluded.heard_at_ms)",
            (self._environment, intake.instance, intake.sequence, intake.at_ms),
        )
        for run, metric, bound in intake.bounds:
            self._lower(self._run_id(run, -1), metric, bound)
        for place, window, metric, cell in intake.events:
            if self._is_open(place, window, metric):
                self._add(place, window, metric, cell)
        for place, window, metric, outcomes in intake.outcomes:
            if self._is_open(place, window, metric):
                self._count_once(place, window, metric, outcomes)
        for place, window, exposed, reporting in intake.units:
            if self._is_open(place, window, ""):
                self._see(place, window, exposed, reporting)
        for book, counts in (("unattributed", intake.unattributed), ("loss", intake.losses)):
            for name, count in counts.items():
                self._book(book, name, count)
        if self._late:
            self._book("loss", "late", self._late)
        return Receipt(is_repeat=False, late=self._late)

    def _is_open(self, place: Place, window: int, metric: str) -> bool:
        run = place.run
        if run not in self._judged:
            found = self._connection.execute(
                "SELECT metric, window FROM judged WHERE run = ?", (self._run_id(run, window),)
            )
            self._judged[run] = dict(found.fetchall())
        if window <= self._judged[run].get(metric, -1):
            self._late += 1
            return False
        return True

    def _add(self, place: Place, window: int, metric: str, cell: Cell) -> None:
        run = self._run_id(place.run, window)
        key = (run, metric, window, place.allocation, place.reach_ppm, self._stratum(place), place.arm.value)
        found = self._connection.execute(
            "SELECT body FROM cell WHERE run = ? AND metric = ? AND window = ? AND allocation = ? AND reach_ppm = ?"
            " AND stratum = ? AND arm = ?",
            key,
        ).fetchone()
        both = cell if found is None else read_cell(found[0]) + cell
        self._connection.execute(
            "INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*key, write_cell(both))
        )

    def _count_once(self, place: Place, window: int, metric: str, outcomes: tuple[Outcome, ...]) -> None:
        run = self._run_id(place.run, window)
        bound, count = self._sample(run, metric)
        fresh: list[float] = []
        for unit, value in outcomes:
            if unit >= bound:
                continue
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO outcome VALUES (?, ?, ?)", (run, metric, signed(unit))
            )
            if cursor.rowcount:
                fresh.append(value)
        if fresh:
            self._add(place, window, metric, cell_of(fresh, has_bins=metric in self._intake.quantiles))
            self._grow(run, metric, bound, count + len(fresh))

    def _see(self, place: Place, window: int, exposed: tuple[int, ...], reporting: tuple[int, ...]) -> None:
        run = self._run_id(place.run, window)
        bound, count = self._sample(run, "")
        first = (place.allocation, place.reach_ppm, self._stratum(place), place.arm.value)
        for column, units in (("exposed", exposed), ("reporting", reporting)):
            for unit in units:
                if unit >= bound:
                    continue
                cursor = self._connection.execute(
                    f"INSERT OR IGNORE INTO unit (run, unit, allocation, reach_ppm, stratum, arm, {column})"  # noqa: S608 - a column's name
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (run, signed(unit), *first, window),
                )
                if cursor.rowcount:
                    count += 1
                else:
                    self._connection.execute(
                        f"UPDATE unit SET {column} = ? WHERE run = ? AND unit = ? AND {column} IS NULL",  # noqa: S608 - a column's name
                        (window, run, signed(unit)),
                    )
        self._grow(run, "", bound, count)

    # ------------------------------------------------------------------------------------------------------- samples

    def _sample(self, run: int, metric: str) -> tuple[int, int]:
        found = self._connection.execute(
            "SELECT bound, count FROM sample WHERE run = ? AND metric = ?", (run, metric)
        ).fetchone()
        return (EVERYTHING, 0) if found is None else (read_bound(found[0]), found[1])

    def _lower(self, run: int, metric: str, bound: int) -> None:
        """Keep no more than the process that keeps least: what it left out is missing from the rest too, then."""
        known, count = self._sample(run, metric)
        if bound < known:
            self._cut(run, metric, bound, count)

    def _grow(self, run: int, metric: str, bound: int, count: int) -> None:
        lower = bound_after(count, bound)
        if lower < bound:
            self._cut(run, metric, lower, count)
        else:
            self._write_sample(run, metric, bound, count)

    def _cut(self, run: int, metric: str, bound: int, count: int) -> None:
        at = stored_bound(bound)
        if metric:
            gone = self._connection.execute(
                "DELETE FROM outcome WHERE run = ? AND metric = ? AND unit >= ?", (run, metric, at)
            )
        else:
            gone = self._connection.execute("DELETE FROM unit WHERE run = ? AND unit >= ?", (run, at))
        self._write_sample(run, metric, bound, count - gone.rowcount)

    def _write_sample(self, run: int, metric: str, bound: int, count: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", (run, metric, stored_bound(bound), count)
        )

    # --------------------------------------------------------------------------------------------------- small things

    def _run_id(self, run: RunId, window: int) -> int:
        key = self._runs.get(run)
        if key is None:
            key = self._runs[run] = run_id(self._connection, self._environment, run)
        if window > self._last.get(run, -1):
            self._last[run] = window
            self._connection.execute(
                "UPDATE run SET last_window = ? WHERE id = ? AND last_window < ?", (window, key, window)
            )
        return key

    def _stratum(self, place: Place) -> str:
        if not place.stratum:
            return ""
        run = self._runs[place.run]
        if place.run not in self._strata:
            found = self._connection.execute("SELECT name FROM stratum WHERE run = ?", (run,))
            self._strata[place.run] = {name for (name,) in found}
        known = self._strata[place.run]
        if place.stratum in known:
            return place.stratum
        if len(known) >= STRATA_MAX:
            return REST
        known.add(place.stratum)
        self._connection.execute("INSERT INTO stratum VALUES (?, ?)", (run, place.stratum))
        return place.stratum

    def _book(self, book: str, name: str, count: int) -> None:
        self._connection.execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (self._environment, book, name, count),
        )


def run_id(connection: sqlite3.Connection, environment: str, run: RunId) -> int:
    """Return the number of a run's row, made where there is none."""
    connection.execute(
        "INSERT INTO run (environment, rollout, number, last_window) VALUES (?, ?, ?, -1) ON CONFLICT DO NOTHING",
        (environment, *run),
    )
    key: int = connection.execute(
        "SELECT id FROM run WHERE environment = ? AND rollout = ? AND number = ?", (environment, *run)
    ).fetchone()[0]
    return key
