"""Telemetry of Redis as a telemetry file of SQLite, read piece by piece beside the reports that go on coming.

Reading all of it at once would keep Redis from answering for as long. So what is read is no single moment, and its
order makes it safe: a run's checkpoint first, then its sums, then who was counted in them, and the sequences of reports
last of all. What came in between may be missing from the sums, as after a crash; nothing can be counted twice, for what
a sum holds its units and sequences hold too. A window's arms are read at once: what is missing is missing from both.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters import redis_telemetry_rows as rows
from rollout_server.adapters import sqlite_file
from rollout_server.adapters.sqlite_telemetry_rows import signed, stored_bound, write_cell
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from rollout_server.adapters.redis_link import RedisLink

WINDOWS_AT_ONCE = 50
_FOREVER = 1 << 53
_COLUMNS = {
    "cell": 8,
    "instance": 4,
    "judged": 3,
    "ledger": 4,
    "outcome": 3,
    "process": 4,
    "run": 7,
    "sample": 4,
    "stratum": 2,
    "unit": 8,
}


async def write(link: RedisLink, environments: Iterable[str], target: Path) -> dict[str, int]:
    """Write a telemetry file of these environments.

    Returns:
        How long the windows of each are; 0 where there is no telemetry of it.

    Raises:
        Unavailable: Redis is away.
        sqlite3.Error, OSError: the target cannot be written.
    """
    await asyncio.to_thread(sqlite_file.create, target, TELEMETRY)
    lengths: dict[str, int] = {}
    with closing(sqlite3.connect(target, isolation_level=None, check_same_thread=False)) as file:
        file.execute("PRAGMA synchronous = OFF")  # it is part of a backup, which is synced when it is whole
        file.execute("BEGIN")
        for environment in environments:
            lengths[environment] = await _Copying(link, environment, file).run()
        file.execute("UPDATE meta SET window_ms = ?", (next(filter(None, lengths.values()), 0),))
        file.execute("COMMIT")
    return lengths


class _Copying:
    """One environment on its way into the file."""

    def __init__(self, link: RedisLink, environment: str, file: sqlite3.Connection) -> None:
        self._link = link
        self._environment = environment
        self._key = rows.telemetry_key(environment)
        self._file = file

    async def run(self) -> int:
        window_ms = await self._link.command("HGET", self._key, "window_ms")
        if window_ms is None:
            return 0
        (first,) = self._file.execute("SELECT coalesce(max(id), 0) + 1 FROM run").fetchone()
        names = sorted(await self._link.command("HKEYS", f"{self._key}:runs"))
        numbers = {name: first + place for place, name in enumerate(names)}
        checkpoints = {name: await self._run(name.decode(), number) for name, number in numbers.items()}
        await self._runs(numbers, checkpoints)
        await self._rest()
        return int(window_ms)

    async def _run(self, name: str, number: int) -> list[Any]:
        """Copy a run but for its own row; return its checkpoint."""
        checkpoint: list[Any] = await self._link.ask(scripts.TELEMETRY_CHECKPOINT, self._key, name)
        judged = _pairs(checkpoint[2]) if checkpoint else ()
        await self._put("judged", [(number, metric.decode(), int(window)) for metric, window in judged])
        metrics = [each.decode() for each in await self._link.command("SMEMBERS", self._of(name, "metrics"))]
        for metric in filter(None, metrics):
            await self._cells(name, number, metric)
        counted = {
            metric: await self._link.command("SMEMBERS", self._of(name, f"outcomes:{metric}"))
            for metric in filter(None, metrics)
        }
        seen = await self._link.command("HGETALL", self._of(name, "units"))
        bounds = {
            metric.decode(): rows.read_bound(bound)
            for metric, bound in _pairs(await self._link.command("HGETALL", self._of(name, "bounds")))
        }
        strata = await self._link.command("SMEMBERS", self._of(name, "strata"))
        await self._put("stratum", [(number, stratum.decode()) for stratum in strata])
        await self._samples(number, counted, await asyncio.to_thread(dict, _pairs(seen)), bounds)
        return checkpoint

    async def _cells(self, name: str, number: int, metric: str) -> None:
        windows = [int(each) for each in await self._link.command("ZRANGE", self._of(name, f"windows:{metric}"), 0, -1)]
        for at in range(0, len(windows), WINDOWS_AT_ONCE):
            chunk = windows[at : at + WINDOWS_AT_ONCE]
            answer = await self._link.ask(scripts.TELEMETRY_SUMS, self._key, name, metric, chunk[0] - 1, chunk[-1])
            await self._put("cell", _cells(number, metric, answer[1:]))

    async def _samples(
        self, number: int, counted: Mapping[str, list[bytes]], units: Mapping[bytes, bytes], bounds: Mapping[str, int]
    ) -> None:
        """Write who was counted, below the bounds that hold now: one that was lowered meanwhile holds for all of it."""
        samples: dict[str, int] = dict.fromkeys(bounds, 0)
        for metric, found in {**counted, "": units}.items():
            hashes = await asyncio.to_thread(_below, found, bounds.get(metric, EVERYTHING))
            if hashes or metric in bounds:
                samples[metric] = len(hashes)
            if metric:
                await self._put("outcome", ((number, metric, signed(unit)) for unit in hashes))
            else:
                homes = ((number, signed(unit), *_home(units[rows.write_unit(unit)])) for unit in hashes)
                await self._put("unit", homes)
        kept = [(number, name, stored_bound(bounds.get(name, EVERYTHING)), count) for name, count in samples.items()]
        await self._put("sample", kept)

    async def _runs(self, numbers: Mapping[bytes, int], checkpoints: Mapping[bytes, list[Any]]) -> None:
        """Write the runs that are there still; those that were pruned meanwhile are over, and leave nothing behind."""
        present = dict(_pairs(await self._link.command("HGETALL", f"{self._key}:runs")))
        found = []
        for name, number in numbers.items():
            rollout, _, run = name.decode().rpartition("/")
            fence, body, _ = checkpoints[name] or (0, None, ())
            if name in present:
                found.append((number, self._environment, rollout, int(run), int(present[name]), int(fence), body))
            else:
                for table in ("cell", "judged", "outcome", "sample", "stratum", "unit"):
                    self._file.execute(f"DELETE FROM {table} WHERE run = ?", (number,))  # noqa: S608 - a table's name
        await self._put("run", found)

    async def _rest(self) -> None:
        name = self._environment
        ledger = _pairs(await self._link.command("HGETALL", f"{self._key}:ledger"))
        books = [(*field.decode().partition(" ")[::2], int(count)) for field, count in ledger]
        await self._put("ledger", [(name, *each) for each in books])
        numbers = [
            int(word) for word in await self._link.ask(scripts.TELEMETRY_PROCESSES, self._key, "read", -1, _FOREVER)
        ]
        processes = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        await self._put("process", [(name, *each) for each in processes])
        sequences = dict(_pairs(await self._link.command("HGETALL", f"{self._key}:instances")))
        heard = _pairs(await self._link.command("ZRANGE", f"{self._key}:heard", 0, -1, "WITHSCORES"))
        instances = [
            (name, instance.decode(), int(sequences[instance]), int(at_ms))
            for instance, at_ms in heard
            if instance in sequences
        ]
        await self._put("instance", instances)

    async def _put(self, table: str, found: Iterable[tuple[Any, ...]]) -> None:
        """Write rows, and make them where they are made as they are asked for, beside the event loop."""
        marks = ", ".join("?" * _COLUMNS[table])
        insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - a table's name

        def work() -> None:
            self._file.executemany(insert, found).close()  # one that is let go of later resets a statement then in use

        await asyncio.to_thread(work)

    def _of(self, run: str, name: str) -> str:
        return rows.of_run(self._key, run, name)


def _pairs(flat: list[Any]) -> zip[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _cells(number: int, metric: str, windows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for window, fields in windows:
        for field, body in _pairs(fields):
            allocation, reach_ppm, arm, stratum = field.decode().split("\0")
            place = (int(allocation), int(reach_ppm), stratum, arm)
            yield (number, metric, int(window), *place, write_cell(rows.read_cell(body)))


def _below(units: Iterable[bytes], bound: int) -> list[int]:
    return sorted(unit for unit in map(rows.read_unit, units) if unit < bound)


def _home(stored: bytes) -> tuple[int, int, str, str, int | None, int | None]:
    """Read what Redis keeps of a unit, as SQLite keeps it: where it was seen first, and in which windows."""
    exposed, reporting, home = stored.decode().split(" ", 2)
    allocation, reach_ppm, arm, stratum = home.split("\0")
    return int(allocation), int(reach_ppm), stratum, arm, _window(exposed), _window(reporting)


def _window(stored: str) -> int | None:
    return int(stored) if stored else None
