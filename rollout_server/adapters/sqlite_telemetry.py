"""Sums and evidence in one SQLite file beside the journal's: one thread writes, one reads.

A file of its own, and synchronous=NORMAL: reports come all the time, and no rollback's commit may wait for their fsync.
A crash of the process loses nothing that was acknowledged; a loss of power may lose the last seconds of sums,
with the sequences that say they were there, so that nothing is ever counted twice.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING, kept_ppm
from rollout_server.adapters import sqlite_file
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.adapters.sqlite_telemetry_rows import Commit, read_bound, read_cell, run_id
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY
from rollout_server.adapters.sqlite_writer import Writer
from rollout_server.domain.guardrails.data import Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.telemetry import Ledger, ProcessWindow, Receipt, RunCheckpoint, RunId
from rollout_server.errors import Conflict, Corrupt, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from rollout_server.domain.telemetry import Intake

T = TypeVar("T")


def open_telemetry(path: Path, environments: Iterable[str], *, window_ms: int) -> SqliteTelemetryFile:
    """Open the file, or make it. Blocks: call it before serving.

    A damaged file is set aside, never in the way: flags must be served, and rollouts judged anew.

    Args:
        path: the file; its directory is made where it is missing.
        environments: names; those that the file holds beyond them are left alone.
        window_ms: of a new file; one that exists keeps its own.

    Raises:
        Refused: "store-format", a later release wrote it.
        Unavailable: it cannot be read and written here.
    """
    path = path.expanduser().resolve()
    try:
        return _open(path, environments, window_ms, None)
    except Corrupt:
        aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
        with refusals(path):
            for suffix in ("", "-wal", "-shm"):
                beside = Path(f"{path}{suffix}")
                if beside.exists():
                    beside.rename(f"{aside}{suffix}")
        return _open(path, environments, window_ms, aside)


def _open(path: Path, environments: Iterable[str], window_ms: int, aside: Path | None) -> SqliteTelemetryFile:
    sqlite_file.ensure(path, TELEMETRY)
    with refusals(path):
        connection = sqlite_file.connect(path)
        try:
            with sqlite_file.lock(path):
                sqlite_file.prepare(connection, path, TELEMETRY)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("UPDATE meta SET window_ms = ? WHERE window_ms = 0", (window_ms,))
                (kept_ms,) = connection.execute("SELECT window_ms FROM meta").fetchone()
            return SqliteTelemetryFile(path, connection, frozenset(environments), kept_ms, aside)
        except BaseException:
            connection.close()
            raise


class SqliteTelemetryFile:
    """One open file.

    Attributes:
        window_ms: how long its windows are.
        set_aside: where a damaged file went that lay in its place; None where there was none.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        environments: frozenset[str],
        window_ms: int,
        set_aside: Path | None,
    ) -> None:
        self.path = path
        self.window_ms = window_ms
        self.set_aside = set_aside
        self._environments = environments
        self._writer = Writer(path, connection, lambda: None)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="telemetry-reader")
        self._reading = sqlite_file.connect(path, is_reader=True)
        self._is_closed = False

    def store(self, environment: str) -> SqliteTelemetry:
        """Return one environment's store.

        Raises:
            NotFound: the file was not opened for it.
        """
        if environment not in self._environments:
            raise NotFound("environment", environment)
        return SqliteTelemetry(self, environment)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run on the writer's thread; return once it is committed."""
        return await asyncio.wrap_future(self._writer.submit(job))

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Answer on the reader's thread, within one read transaction."""
        if self._is_closed:
            raise Unavailable("telemetry", f"{self.path}: it was closed", "start the server again")
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._ask, question)

    async def copy(self, target: Path) -> None:
        """Write a copy of the whole file as it is at one moment.

        Raises:
            Refused: "backup-target", the target is this file, or a file in use.
            Unavailable: it cannot be read, or the target cannot be written.
        """

        def work() -> None:
            with refusals(target), closing(sqlite_file.connect(self.path, is_reader=True)) as source:
                sqlite_file.copy(source, self.path, target, TELEMETRY)

        await asyncio.to_thread(work)

    async def close(self) -> None:
        """Finish what was handed in, and let go of the file. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.to_thread(self._close)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with refusals(self.path):
            self._reading.execute("BEGIN")
            try:
                return question(self._reading)
            finally:
                self._reading.execute("ROLLBACK")

    def _close(self) -> None:
        self._writer.close()
        self._reader.shutdown()
        self._reading.close()


class SqliteTelemetry:
    """One environment's `ports.TelemetryStore`."""

    def __init__(self, file: SqliteTelemetryFile, environment: str) -> None:
        self._file = file
        self._environment = environment

    @property
    def window_ms(self) -> int:
        """See `ports.TelemetryStore`."""
        return self._file.window_ms

    async def commit(self, intake: Intake) -> Receipt:
        """See `ports.TelemetryStore`."""
        return await self._file.write(lambda connection: Commit(connection, self._environment, intake).run())

    async def sums(self, run: RunId, metric: str, after: int, through: int) -> tuple[WindowSums, ...]:
        """See `ports.TelemetryStore`."""
        rows = await self._rows(
            "SELECT window, allocation, reach_ppm, stratum, arm, cell.body FROM cell JOIN run ON run.id = cell.run"
            " WHERE environment = ? AND rollout = ? AND number = ? AND metric = ? AND window > ? AND window <= ?"
            " ORDER BY window, allocation, reach_ppm, stratum",
            (*run, metric, after, through),
        )
        cells: defaultdict[tuple[int, int, int, str], dict[Arm, Cell]] = defaultdict(dict)
        for window, allocation, reach_ppm, stratum, arm, body in rows:
            cells[window, allocation, reach_ppm, stratum][Arm(arm)] = read_cell(body)
        return tuple(
            WindowSums(
                run.run,
                allocation,
                reach_ppm,
                stratum,
                metric,
                window,
                arms.get(Arm.CANDIDATE, Cell()),
                arms.get(Arm.CONTROL, Cell()),
            )
            for (window, allocation, reach_ppm, stratum), arms in cells.items()
        )

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        """See `ports.TelemetryStore`."""

        def ask(connection: sqlite3.Connection) -> tuple[ExposureSums, ...]:
            return _exposures(connection, self._environment, run, after, through)

        return await self._file.read(ask)

    async def heard(self, since_ms: int) -> Mapping[str, int]:
        """See `ports.TelemetryStore`."""
        rows = await self._rows(
            "SELECT name, heard_at_ms FROM instance WHERE environment = ? AND heard_at_ms >= ?", (since_ms,)
        )
        return dict(rows)

    async def add_processes(self, processes: ProcessWindow) -> None:
        """See `ports.TelemetryStore`."""
        await self._write(
            "INSERT INTO process VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " lived = lived + excluded.lived, lost = lost + excluded.lost",
            tuple(processes),
        )

    async def processes(self, after: int, through: int) -> tuple[ProcessWindow, ...]:
        """See `ports.TelemetryStore`."""
        rows = await self._rows(
            "SELECT window, lived, lost FROM process WHERE environment = ? AND window > ? AND window <= ?"
            " ORDER BY window",
            (after, through),
        )
        return tuple(ProcessWindow(*row) for row in rows)

    async def ledger(self) -> Ledger:
        """See `ports.TelemetryStore`."""
        rows = await self._rows("SELECT book, name, count FROM ledger WHERE environment = ? ORDER BY book, name", ())
        books: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for book, name, count in rows:
            books[book][name] = count
        return Ledger(MappingProxyType(books["unattributed"]), MappingProxyType(books["loss"]))

    async def checkpoint(self, run: RunId) -> RunCheckpoint | None:
        """See `ports.TelemetryStore`."""

        def ask(connection: sqlite3.Connection) -> RunCheckpoint | None:
            found = connection.execute(
                "SELECT id, fence, body FROM run WHERE environment = ? AND rollout = ? AND number = ?"
                " AND body IS NOT NULL",
                (self._environment, *run),
            ).fetchone()
            if found is None:
                return None
            judged = dict(connection.execute("SELECT metric, window FROM judged WHERE run = ?", (found[0],)).fetchall())
            return RunCheckpoint(run, found[1], MappingProxyType(judged), found[2])

        return await self._file.read(ask)

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        """See `ports.TelemetryStore`."""
        await self._file.write(lambda connection: _keep(connection, self._environment, checkpoint))

    async def last_window(self) -> int:
        """See `ports.TelemetryStore`."""
        rows = await self._rows(
            "SELECT max(coalesce((SELECT max(last_window) FROM run WHERE environment = ?1), -1),"
            " coalesce((SELECT max(window) FROM process WHERE environment = ?1), -1))",
            (),
        )
        return int(rows[0][0])

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        """See `ports.TelemetryStore`."""
        kept = frozenset(runs)
        return await self._file.write(lambda connection: _prune(connection, self, before_window, kept))

    async def close(self) -> None:
        """See `ports.TelemetryStore`."""
        await self._file.close()

    @property
    def environment(self) -> str:
        """Whose store this is."""
        return self._environment

    async def _rows(self, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Ask; the environment is the first argument."""
        return await self._file.read(
            lambda connection: connection.execute(sql, (self._environment, *arguments)).fetchall()
        )

    async def _write(self, sql: str, arguments: tuple[object, ...]) -> None:
        def job(connection: sqlite3.Connection) -> None:
            connection.execute(sql, (self._environment, *arguments))

        await self._file.write(job)


def _exposures(
    connection: sqlite3.Connection, environment: str, run: RunId, after: int, through: int
) -> tuple[ExposureSums, ...]:
    found = connection.execute(
        "SELECT id FROM run WHERE environment = ? AND rollout = ? AND number = ?", (environment, *run)
    ).fetchone()
    if found is None:
        return ()
    bound = connection.execute("SELECT bound FROM sample WHERE run = ? AND metric = ''", found).fetchone()
    share_ppm = kept_ppm(EVERYTHING if bound is None else read_bound(bound[0]))
    counts: defaultdict[tuple[int, int, int, str], dict[tuple[str, str], int]] = defaultdict(dict)
    for column in ("exposed", "reporting"):
        rows = connection.execute(
            f"SELECT {column}, allocation, reach_ppm, stratum, arm, count(*) FROM unit"  # noqa: S608 - a column's name
            f" WHERE run = ? AND {column} > ? AND {column} <= ? GROUP BY 1, 2, 3, 4, 5",
            (found[0], after, through),
        )
        for window, allocation, reach_ppm, stratum, arm, count in rows:
            counts[window, allocation, reach_ppm, stratum][arm, column] = count
    return tuple(
        ExposureSums(
            run.run,
            allocation,
            reach_ppm,
            stratum,
            window,
            candidate=_units(each, Arm.CANDIDATE),
            control=_units(each, Arm.CONTROL),
            kept_ppm=share_ppm,
        )
        for (window, allocation, reach_ppm, stratum), each in sorted(counts.items())
    )


def _units(counts: Mapping[tuple[str, str], int], arm: Arm) -> UnitCounts:
    return UnitCounts(counts.get((arm.value, "exposed"), 0), counts.get((arm.value, "reporting"), 0))


def _keep(connection: sqlite3.Connection, environment: str, checkpoint: RunCheckpoint) -> None:
    run = run_id(connection, environment, checkpoint.run)
    (fence,) = connection.execute("SELECT fence FROM run WHERE id = ?", (run,)).fetchone()
    if fence > checkpoint.fence:
        raise Conflict("the lease of this run", checkpoint.fence, fence, "another controller has taken over")
    for metric, window in checkpoint.judged.items():
        known = connection.execute("SELECT window FROM judged WHERE run = ? AND metric = ?", (run, metric)).fetchone()
        if known is not None and known[0] > window:
            raise Conflict(f"the evidence on {metric or 'exposures'}", window, known[0], "read the checkpoint again")
        connection.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?)", (run, metric, window))
    connection.execute("UPDATE run SET fence = ?, body = ? WHERE id = ?", (checkpoint.fence, checkpoint.body, run))


def _prune(connection: sqlite3.Connection, store: SqliteTelemetry, before_window: int, kept: frozenset[RunId]) -> int:
    environment = store.environment
    rows = connection.execute(
        "SELECT id, rollout, number, last_window FROM run WHERE environment = ?", (environment,)
    ).fetchall()
    gone = 0
    for run, rollout, number, last_window in rows:
        gone += connection.execute("DELETE FROM cell WHERE run = ? AND window < ?", (run, before_window)).rowcount
        if RunId(rollout, number) not in kept and last_window < before_window:
            for table in ("sample", "outcome", "unit", "stratum", "judged"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - a table's name
            connection.execute("DELETE FROM run WHERE id = ?", (run,))
    connection.execute("DELETE FROM process WHERE environment = ? AND window < ?", (environment, before_window))
    connection.execute(
        "DELETE FROM instance WHERE environment = ? AND heard_at_ms < ?",
        (environment, before_window * store.window_ms),
    )
    return gone
