"""Telemetry of Redis in a file, while reports go on coming."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters import redis_telemetry_backup
from rollout_server.adapters.redis_telemetry import RedisTelemetry
from rollout_server.adapters.redis_telemetry_backup import write
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.domain.telemetry import Intake, Outcome, ProcessWindow, RunCheckpoint, RunId
from rollout_server.ports import TelemetryStore
from tests.backup_world import FOREVER, METRICS, RUNS, fill_telemetry, report, telemetry_of
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis
from tests.telemetry_world import RUN, cell, intake, place

PRODUCTION = ["production"]


def in_file(path: Path) -> TelemetryStore:
    return open_telemetry(path, PRODUCTION, window_ms=1).store("production")


def both_arms(sequence: int, instance: str) -> Intake:
    """A report that counts one event and one unit more in either arm, some windows apart."""
    window = sequence % 5
    units = [hash((instance, sequence, arm)) % EVERYTHING for arm in range(2)]
    places = [place(arm) for arm in (place().arm, next(arm for arm in type(place().arm) if arm is not place().arm))]
    return intake(
        sequence,
        instance,
        at_ms=sequence,
        events=tuple((each, window, "errors", cell(1, 1.0)) for each in places),
        outcomes=tuple(
            (each, window, "orders", (Outcome(unit, 1.0),)) for each, unit in zip(places, units, strict=True)
        ),
        units=tuple((each, window, (unit,), (unit,)) for each, unit in zip(places, units, strict=True)),
    )


async def counted(store: TelemetryStore, metric: str) -> tuple[int, int]:
    found = await store.sums(RUN, metric, -1, FOREVER)
    return sum(each.candidate.n for each in found), sum(each.control.n for each in found)


async def test_while_reports_come_nothing_is_counted_twice(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again after the restore, all of them: no event, no unit and no exposure is there more than once."""
    monkeypatch.setattr(redis_telemetry_backup, "WINDOWS_AT_ONCE", 1)  # so that there is much in between
    store = await redis_store(await redis.url())
    telemetry = await store.telemetry("production", 10_000)
    sent: list[Intake] = []
    is_done = asyncio.Event()

    async def keep_reporting(instance: str) -> None:
        sequence = 0
        while not is_done.is_set():
            sequence += 1
            sent.append(both_arms(sequence, instance))
            await telemetry.commit(sent[-1])

    reporting = [asyncio.create_task(keep_reporting(f"t/{number}")) for number in range(4)]
    while len(sent) < 50:  # noqa: ASYNC110 - they report as fast as Redis takes it
        await asyncio.sleep(0)
    copies = [tmp_path / f"{number}.db" for number in range(4)]
    for path in copies:
        await write(store.link, PRODUCTION, path)
    is_done.set()
    await asyncio.gather(*reporting)
    for path in copies:
        restored = in_file(path)
        for each in sent:
            await restored.commit(each)
        for metric in ("errors", "orders"):
            candidate, control = await counted(restored, metric)
            assert candidate == control <= len(sent)  # what is missing is missing from both
        units = await restored.exposures(RUN, -1, FOREVER)
        assert sum(each.candidate.exposed for each in units) <= len(sent)
        await restored.close()
    whole = tmp_path / "whole.db"
    await write(store.link, PRODUCTION, whole)
    restored = in_file(whole)
    assert await counted(restored, "errors") == (len(sent), len(sent))
    await restored.close()
    await store.close()


async def amid(monkeypatch: pytest.MonkeyPatch, store: Any, happens: Any) -> None:
    """Let something happen each time when the sums of a metric have been read."""
    read = redis_telemetry_backup._Copying._cells

    async def cells(self: Any, name: str, number: int, metric: str) -> None:
        await read(self, name, number, metric)
        await happens()

    monkeypatch.setattr(redis_telemetry_backup._Copying, "_cells", cells)
    assert store is not None


async def opened(redis: SharedRedis) -> tuple[Any, RedisTelemetry]:
    store = await redis_store(await redis.url())
    telemetry = await store.telemetry("production", 10_000)
    reports = [report(random.Random(seed), "t/a", seed + 1) for seed in range(12)]  # noqa: S311 - a test's
    await fill_telemetry(telemetry, reports, 7)
    return store, telemetry


async def test_a_bound_that_is_lowered_meanwhile_holds_for_all_that_was_read(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the sample would hold units of one half of the space twice as densely."""
    store, telemetry = await opened(redis)
    bounds = tuple((run, metric, 2**40) for run in RUNS for metric in ("", "orders", "slow"))

    async def lower() -> None:
        await telemetry.commit(intake(99, "t/b", bounds=bounds))

    await amid(monkeypatch, store, lower)
    await write(store.link, PRODUCTION, tmp_path / "copy.db")
    restored = in_file(tmp_path / "copy.db")
    for run in RUNS:
        assert await restored.exposures(run, -1, FOREVER) == await telemetry.exposures(run, -1, FOREVER)
    await restored.close()
    await store.close()


async def test_a_run_that_is_pruned_meanwhile_leaves_nothing_behind(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a run would be a run without evidence of what it had."""
    store, telemetry = await opened(redis)

    async def prune() -> None:
        await telemetry.prune(100, RUNS[:1])

    await amid(monkeypatch, store, prune)
    await write(store.link, PRODUCTION, tmp_path / "copy.db")
    restored = in_file(tmp_path / "copy.db")
    for run in RUNS[1:]:
        assert await restored.checkpoint(run) is None
        assert await restored.exposures(run, -1, FOREVER) == ()
        for metric in METRICS:
            assert await restored.sums(run, metric, -1, FOREVER) == ()
    assert await restored.checkpoint(RUNS[0]) is not None
    await restored.close()
    await store.close()


async def test_what_is_judged_meanwhile_is_judged_again_from_the_evidence_before(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sums are there for it: a checkpoint without them would lose them."""
    store = await redis_store(await redis.url())
    telemetry = await store.telemetry("production", 10_000)
    await telemetry.commit(intake(1, events=((place(), 7, "errors", cell(5)),)))
    await telemetry.keep(RunCheckpoint(RUN, 1, {"errors": 6}, b"before"))

    async def judge() -> None:
        await telemetry.keep(RunCheckpoint(RUN, 1, {"errors": 8}, b"after"))

    await amid(monkeypatch, store, judge)
    await write(store.link, PRODUCTION, tmp_path / "copy.db")
    restored = in_file(tmp_path / "copy.db")
    found = await restored.checkpoint(RUN)
    assert found is not None
    assert (found.body, dict(found.judged)) == (b"before", {"errors": 6})
    assert [each.candidate.n for each in await restored.sums(RUN, "errors", 6, FOREVER)] == [5]
    await restored.close()
    await store.close()


async def test_a_store_that_never_was_is_no_telemetry(redis: SharedRedis, tmp_path: Path) -> None:
    """And one in which nothing was counted is an empty one."""
    store = await redis_store(await redis.url())
    assert await write(store.link, PRODUCTION, tmp_path / "none.db") == {"production": 0}
    telemetry = await store.telemetry("production", 500)
    assert await write(store.link, PRODUCTION, tmp_path / "empty.db") == {"production": 500}
    await telemetry.add_processes(ProcessWindow(1, 1, 0))
    await telemetry.commit(intake(1, bounds=((RunId("launch", 1), "", 5),)))
    await write(store.link, PRODUCTION, tmp_path / "copy.db")
    restored = in_file(tmp_path / "copy.db")
    assert await telemetry_of(restored) == await telemetry_of(telemetry)
    await restored.close()
    await store.close()
