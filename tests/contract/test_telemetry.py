"""The promises of `ports.TelemetryStore`, asked of every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.domain.telemetry import (
    REST,
    STRATA_MAX,
    Outcome,
    ProcessWindow,
    RunCheckpoint,
    RunId,
)
from rollout_server.errors import Conflict, Unavailable
from rollout_server.ports import TelemetryStore
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.journal_world import redis_store
from tests.telemetry_world import RUN, cell, intake, place

FOREVER = 1 << 40


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TelemetryStore]:
    made: TelemetryStore
    if request.param == "redis":
        redis = await redis_store(await request.getfixturevalue("redis").url())
        yield await redis.telemetry("production", 10_000)
        await redis.close()
        return
    if request.param == "memory":
        made = MemoryTelemetry()
    else:
        made = open_telemetry(tmp_path / "telemetry.db", ["production"], window_ms=10_000).store("production")
    yield made
    await made.close()


async def test_sums_of_one_place_add_up_over_reports_and_processes(store: TelemetryStore) -> None:
    """A window holds what everybody counted in it, arm beside arm."""
    await store.commit(intake(1, "t/a", events=((place(), 7, "errors", cell(10, 1.0, 3)),)))
    await store.commit(intake(1, "t/b", events=((place(), 7, "errors", cell(5, 2.0, 4)),)))
    await store.commit(intake(2, "t/a", events=((place(Arm.CONTROL), 7, "errors", cell(20, 4.0)),)))
    (sums,) = await store.sums(RUN, "errors", 6, 7)
    assert (sums.window, sums.candidate.n, sums.candidate.x, sums.control.n) == (7, 15, 3.0, 20)
    assert (sums.candidate.bucket_n[3], sums.candidate.bucket_n[4]) == (10, 5)
    assert await store.sums(RUN, "errors", 7, FOREVER) == ()
    assert await store.sums(RUN, "latency", -1, FOREVER) == ()
    assert await store.sums(RunId("launch", 2), "errors", -1, FOREVER) == ()


async def test_a_repeat_changes_nothing(store: TelemetryStore) -> None:
    """The same sequence of the same instance counts once, however often and in whatever order it comes."""
    first = intake(1, events=((place(), 7, "errors", cell(10)),))
    second = intake(2, events=((place(), 8, "errors", cell(1)),))
    assert not (await store.commit(first)).is_repeat
    assert (await store.commit(first)).is_repeat
    await store.commit(second)
    assert (await store.commit(first)).is_repeat
    assert (await store.commit(second)).is_repeat
    assert [each.candidate.n for each in await store.sums(RUN, "errors", -1, FOREVER)] == [10, 1]


async def test_windows_places_and_strata_are_never_pooled(store: TelemetryStore) -> None:
    """Another window, allocation, reach or stratum is another row, in order."""
    places = [
        (place(), 7),
        (place(), 8),
        (place(allocation=2), 8),
        (place(allocation=2, reach_ppm=1_000_000), 8),
        (place(allocation=2, reach_ppm=1_000_000, stratum="country=KR"), 8),
    ]
    await store.commit(intake(events=tuple((each, window, "errors", cell()) for each, window in reversed(places))))
    found = await store.sums(RUN, "errors", -1, FOREVER)
    assert [(each.window, each.allocation, each.reach_ppm, each.stratum) for each in found] == [
        (7, 1, 500_000, ""),
        (8, 1, 500_000, ""),
        (8, 2, 500_000, ""),
        (8, 2, 1_000_000, ""),
        (8, 2, 1_000_000, "country=KR"),
    ]


async def test_a_unit_counts_once_in_its_run_whoever_reports_it(store: TelemetryStore) -> None:
    """The first outcome stands; later ones, of any process and window, change nothing."""
    await store.commit(intake(1, "t/a", outcomes=((place(), 7, "orders", (Outcome(1, 1.0), Outcome(2, 0.0))),)))
    await store.commit(intake(1, "t/b", outcomes=((place(), 8, "orders", (Outcome(2, 1.0), Outcome(3, 1.0))),)))
    counted = [(each.window, each.candidate.n, each.candidate.x) for each in await store.sums(RUN, "orders", -1, 99)]
    assert counted == [(7, 2, 1.0), (8, 1, 1.0)]
    other = RunId("launch", 2)
    await store.commit(intake(2, "t/b", outcomes=((place(run=other), 9, "orders", (Outcome(1, 1.0),)),)))
    assert [each.candidate.n for each in await store.sums(other, "orders", -1, 99)] == [1]


async def test_quantiles_per_unit_keep_bins(store: TelemetryStore) -> None:
    """Bins follow the law that processes use for events."""
    outcomes = ((place(), 7, "slow", (Outcome(1, 0.118), Outcome(2, 0.118), Outcome(3, 2.0))),)
    await store.commit(intake(outcomes=outcomes, quantiles=frozenset({"slow"})))
    (sums,) = await store.sums(RUN, "slow", -1, 99)
    assert sums.candidate.histogram == ((bin_of(0.118), 2), (bin_of(2.0), 1))


async def test_exposures_count_units_where_they_were_seen_first(store: TelemetryStore) -> None:
    """A unit that is seen again, later, elsewhere or in the other arm, is no new one."""
    await store.commit(intake(1, "t/a", units=((place(), 7, (1, 2), ()), (place(Arm.CONTROL), 7, (3,), (3,)))))
    await store.commit(intake(1, "t/b", units=((place(allocation=2), 9, (2, 3, 4), (2, 4)),)))
    first, again, second = await store.exposures(RUN, -1, 99)
    assert (first.window, first.candidate.exposed, first.control.exposed, first.control.reporting) == (7, 2, 1, 1)
    assert (again.window, again.allocation, again.candidate.reporting, again.candidate.exposed) == (9, 1, 1, 0)
    assert (second.window, second.allocation, second.candidate.exposed, second.candidate.reporting) == (9, 2, 1, 1)
    assert {each.kept_ppm for each in (first, again, second)} == {1_000_000}


async def test_the_lowest_bound_holds_for_all(store: TelemetryStore) -> None:
    """What one process left out is left out of the rest too, so that counts can be scaled."""
    half = EVERYTHING // 2
    await store.commit(intake(1, "t/a", units=((place(), 7, (1, half, EVERYTHING - 1), ()),)))
    await store.commit(intake(1, "t/b", bounds=((RUN, "", half),)))
    await store.commit(intake(2, "t/a", units=((place(), 7, (2, half + 1), ()),), bounds=((RUN, "", EVERYTHING),)))
    (found,) = await store.exposures(RUN, -1, 99)
    assert (found.candidate.exposed, found.kept_ppm) == (2, 500_000)
    await store.commit(intake(3, "t/a", bounds=((RUN, "orders", half),)))
    await store.commit(intake(4, "t/a", outcomes=((place(), 7, "orders", (Outcome(half, 1.0), Outcome(0, 1.0))),)))
    (orders,) = await store.sums(RUN, "orders", -1, 99)
    assert orders.candidate.n == 1


async def test_a_full_sample_halves_its_bound(store: TelemetryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is bounded, and the estimate stays right."""
    monkeypatch.setattr("rollout_server.domain.telemetry.UNITS_MAX", 100)
    step = EVERYTHING // 1_000
    for number in range(20):
        units = tuple(step * (number + 20 * each) for each in range(50))
        await store.commit(intake(number + 1, units=((place(), 7, units, ()),)))
    (found,) = await store.exposures(RUN, -1, 99)
    assert found.candidate.exposed <= 100
    assert found.candidate.exposed * 1_000_000 / found.kept_ppm == pytest.approx(1_000, rel=0.02)


async def test_a_judged_window_is_closed(store: TelemetryStore) -> None:
    """A report for it is late: left out, counted, and no unit of it is taken for counted."""
    await store.keep(RunCheckpoint(RUN, 1, {"errors": 7, "orders": 7, "": 7}, b"soak"))
    late = intake(
        1,
        events=((place(), 7, "errors", cell()), (place(), 8, "errors", cell())),
        outcomes=((place(), 6, "orders", (Outcome(1, 1.0),)),),
        units=((place(), 7, (1,), ()),),
    )
    assert (await store.commit(late)).late == 3
    await store.commit(intake(2, outcomes=((place(), 8, "orders", (Outcome(1, 1.0),)),)))
    assert [each.window for each in await store.sums(RUN, "errors", -1, 99)] == [8]
    assert [each.candidate.n for each in await store.sums(RUN, "orders", -1, 99)] == [1]
    assert await store.exposures(RUN, -1, 99) == ()
    assert (await store.ledger()).losses == {"late": 3}


async def test_checkpoints_are_fenced(store: TelemetryStore) -> None:
    """A controller that lost its lease writes no more, and evidence is never unjudged."""
    assert await store.checkpoint(RUN) is None
    await store.keep(RunCheckpoint(RUN, 2, {"errors": 7}, b"one"))
    await store.keep(RunCheckpoint(RUN, 2, {"errors": 8, "": 3}, b"two"))
    with pytest.raises(Conflict):
        await store.keep(RunCheckpoint(RUN, 1, {"errors": 9}, b"old lease"))
    with pytest.raises(Conflict):
        await store.keep(RunCheckpoint(RUN, 3, {"": 9, "errors": 7}, b"goes back"))
    found = await store.checkpoint(RUN)
    assert found is not None
    assert (found.fence, dict(found.judged), found.body) == (2, {"errors": 8, "": 3}, b"two")


async def test_strata_are_bounded_over_all_processes(store: TelemetryStore) -> None:
    """The first 64 values keep their names, the rest are together."""
    places = [(place(stratum=f"tenant={number}"), 7, "errors", cell()) for number in range(STRATA_MAX + 10)]
    for number, each in enumerate(places):
        await store.commit(intake(number + 1, events=(each,)))
    found = await store.sums(RUN, "errors", -1, 99)
    assert len(found) == STRATA_MAX + 1
    assert {each.stratum: each.candidate.n for each in found}[REST] == 10


async def test_who_was_heard_when(store: TelemetryStore) -> None:
    """A report with nothing in it says that its process lives."""
    await store.commit(intake(1, "t/a", at_ms=1_000))
    await store.commit(intake(1, "t/b", at_ms=2_000))
    await store.commit(intake(2, "t/a", at_ms=3_000))
    assert await store.heard(2_500) == {"t/a": 3_000}
    assert await store.heard(0) == {"t/a": 3_000, "t/b": 2_000}


async def test_processes_add_up_in_their_window(store: TelemetryStore) -> None:
    """The built-in metric, counted by the server itself."""
    await store.add_processes(ProcessWindow(7, 4, 0))
    await store.add_processes(ProcessWindow(7, 4, 1))
    await store.add_processes(ProcessWindow(8, 3, 0))
    assert await store.processes(-1, 99) == (ProcessWindow(7, 8, 1), ProcessWindow(8, 3, 0))
    assert await store.processes(7, 8) == (ProcessWindow(8, 3, 0),)


async def test_what_is_in_no_sum_is_booked(store: TelemetryStore) -> None:
    """Unattributed outcomes and losses are shown, and never counted for an arm."""
    await store.commit(intake(1, unattributed={"errors": 2}, losses={"no_room": 5}))
    await store.commit(intake(2, unattributed={"errors": 1, "orders": 1}, losses={"no_room": 1}))
    await store.commit(intake(2, unattributed={"errors": 9}))
    ledger = await store.ledger()
    assert ledger.unattributed == {"errors": 3, "orders": 1}
    assert ledger.losses == {"no_room": 6}


async def test_the_last_window_is_known(store: TelemetryStore) -> None:
    """Whoever starts again does not go back behind it."""
    assert await store.last_window() == -1
    await store.commit(intake(1, events=((place(), 7, "errors", cell()),)))
    assert await store.last_window() == 7
    await store.add_processes(ProcessWindow(9, 1, 0))
    assert await store.last_window() == 9


async def test_pruning_keeps_what_runs(store: TelemetryStore) -> None:
    """Old windows go; who was counted in a run is remembered as long as it is there."""
    over, present = RunId("launch", 1), RunId("launch", 2)
    for number, run in enumerate((over, present), start=1):
        outcomes = ((place(run=run), 5, "orders", (Outcome(1, 1.0),)),)
        await store.commit(intake(number, at_ms=50_000, outcomes=outcomes))
    await store.commit(intake(3, "t/new", at_ms=90_000))
    await store.keep(RunCheckpoint(over, 1, {}, b"over"))
    assert await store.prune(8, {present}) == 2
    assert await store.sums(present, "orders", -1, 99) == ()
    assert await store.checkpoint(over) is None
    assert await store.heard(0) == {"t/new": 90_000}
    await store.commit(intake(4, "t/new", outcomes=((place(run=present), 9, "orders", (Outcome(1, 1.0),)),)))
    assert await store.sums(present, "orders", -1, 99) == ()


async def test_a_closed_store_says_so(store: TelemetryStore) -> None:
    """Nothing hangs on it."""
    await store.close()
    with pytest.raises(Unavailable):
        await store.commit(intake())
    with pytest.raises(Unavailable):
        await store.heard(0)
