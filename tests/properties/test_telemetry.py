"""From `record` to sums, over a network that loses, repeats and delays: nothing counts twice, nothing vanishes unsaid.

The real tally, outbox, wire and ingest; only the network and the clocks are the test's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.attribution import Attribution, Place
from rollout_sdk.engine import sample as sampling
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import run_key, unit_hash
from rollout_sdk.outbox import Outbox
from rollout_sdk.sums import RunKey
from rollout_sdk.tally import Tally
from rollout_sdk.wire.telemetry import write_report
from rollout_sdk.wire.v1 import telemetry_pb2 as pb
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.api.convert_telemetry import report_of
from rollout_server.app.ingest_telemetry import IngestTelemetry
from rollout_server.app.window_clock import WindowClock
from rollout_server.ports import TelemetryStore
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.telemetry_world import ERRORS, ORDERS, RUN, launch_ruleset

KEY = run_key("launch", "s" * 16, 1)
FOREVER = 1 << 50
PROCESSES = st.integers(0, 2)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), PROCESSES, st.integers(0, 30)),
        st.tuples(st.just("expose"), PROCESSES, st.integers(0, 30)),
        st.tuples(st.just("rotate"), PROCESSES, st.just(0)),
        st.tuples(st.just("send"), PROCESSES, st.just(0)),
        st.tuples(st.just("send, answer lost"), PROCESSES, st.just(0)),
        st.tuples(st.just("arrive late"), PROCESSES, st.integers(0, 9)),
        st.tuples(st.just("restart"), PROCESSES, st.just(0)),
        st.tuples(st.just("time"), PROCESSES, st.integers(1, 60)),
    ),
    max_size=60,
)


def arm_of(unit: int) -> Arm:
    return Arm.CANDIDATE if unit % 2 else Arm.CONTROL


def attribution(unit: int) -> Attribution:
    return Attribution(Place("launch", 1, 1, 500_000, arm_of(unit)), "", unit_hash(KEY, str(unit).encode()))


@dataclass
class Process:
    """A process: what it counted, and what of that is still to be delivered."""

    name: str
    tally: Tally = field(default_factory=Tally)
    outbox: Outbox = field(default_factory=Outbox)
    undelivered: Counter[Arm] = field(default_factory=Counter)


class World:
    """Three processes, a server, and every message that was ever under way."""

    def __init__(self, store: TelemetryStore) -> None:
        self.clock = FakeClock()
        self.now_s = 0.0
        self.ingest = IngestTelemetry(
            store, WindowClock(self.clock, store.window_ms, -1), launch_ruleset, lambda: 5_000
        )
        self.names = 0
        self.processes = [self.process() for _ in range(3)]
        self.messages: list[bytes] = []
        self.recorded: Counter[Arm] = Counter()
        self.gone: Counter[Arm] = Counter()
        self.units: set[int] = set()
        self.exposed: set[int] = set()

    def process(self) -> Process:
        self.names += 1
        return Process(f"i-{self.names}")

    async def step(self, what: str, number: int, detail: int) -> None:
        process = self.processes[number]
        match what:
            case "record":
                self.recorded[arm_of(detail)] += 1
                process.undelivered[arm_of(detail)] += 1
                process.tally.record(ERRORS, detail % 3 == 0, [attribution(detail)], recomputed=False)
                process.tally.record(ORDERS, detail % 5 == 0, [attribution(detail)], recomputed=False)
            case "expose":
                one = attribution(detail)
                if process.tally.exposures(RunKey("launch", 1)).take(one.unit << 64):
                    process.tally.expose(one.unit << 64, one.place, "")
            case "rotate":
                process.outbox.put(process.tally.rotate(self.now_s))
            case "send" | "send, answer lost":
                await self.send(process, is_answered=what == "send")
            case "arrive late" if self.messages:
                await self.arrive(self.messages[detail % len(self.messages)])
            case "restart":  # without a goodbye: what was not delivered is gone
                self.processes[number] = self.process()
            case "time":
                self.now_s += detail
                self.clock.advance(detail * 1_000)
            case _:
                pass

    async def send(self, process: Process, *, is_answered: bool) -> None:
        report = process.outbox.next_report(is_wanted=False)
        if report is None:
            return
        message = write_report(process.name, report.sequence, report.windows, report.losses, self.now_s)
        self.messages.append(message.SerializeToString())
        await self.arrive(self.messages[-1])
        if is_answered:
            process.outbox.acknowledge(report.sequence)

    async def arrive(self, message: bytes) -> None:
        await self.ingest.take("t", report_of(pb.ReportRequest.FromString(message)))

    async def deliver_all(self) -> None:
        for process in self.processes:
            process.outbox.put(process.tally.rotate(self.now_s))
            while not process.outbox.is_empty:
                await self.send(process, is_answered=True)

    async def counted(self, metric: str) -> dict[Arm, tuple[int, float]]:
        found = await self.ingest.store.sums(RUN, metric, -1, FOREVER)
        return {
            arm: (sum(getattr(each, arm.value).n for each in found), sum(getattr(each, arm.value).x for each in found))
            for arm in Arm
        }


async def run(store: TelemetryStore, steps: list[tuple[str, int, int]]) -> None:
    world = World(store)
    truth: Counter[tuple[Arm, bool]] = Counter()
    sent: dict[str, list[int]] = {}
    for what, number, detail in steps:
        if what == "restart":
            sent.pop(world.processes[number].name, None)
        await world.step(what, number, detail)
        if what == "record":
            sent.setdefault(world.processes[number].name, []).append(detail)
    await world.deliver_all()
    for message in world.messages:  # and once more, all of it
        await world.arrive(message)
    for units in sent.values():
        truth.update((arm_of(unit), unit % 3 == 0) for unit in units)
    errors = await world.counted("errors")
    orders = await world.counted("orders")
    alive = {unit for units in sent.values() for unit in units}
    has_restarted = any(what == "restart" for what, _, _ in steps)
    for arm in Arm:
        least = truth[arm, True] + truth[arm, False]
        assert least <= errors[arm][0] <= world.recorded[arm]
        assert len({unit for unit in alive if arm_of(unit) is arm}) <= orders[arm][0] <= 16
        if not has_restarted:
            assert errors[arm] == (least, truth[arm, True])
            assert orders[arm][0] == len({unit for unit in alive if arm_of(unit) is arm})


@given(STEPS)
def test_duplicates_reordering_loss_and_restarts_never_count_twice(steps: list[tuple[str, int, int]]) -> None:
    """And what no process took down with it is all there, once."""
    asyncio.run(run(MemoryTelemetry(), steps))


@settings(max_examples=25)
@given(STEPS)
def test_the_same_holds_in_a_file(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]) -> None:
    """SQLite beside the double."""

    async def in_a_file(path: Path) -> None:
        store = open_telemetry(path, ["production"], window_ms=10_000).store("production")
        try:
            await run(store, steps)
        finally:
            await store.close()

    asyncio.run(in_a_file(tmp_path_factory.mktemp("store") / "telemetry.db"))


@pytest.mark.parametrize("processes", [1, 3])
def test_unit_counts_are_exact_while_they_fit_and_close_when_they_do_not(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process sees its own part of 12,000 units, and keeps 1,000 of them at most."""
    monkeypatch.setattr(sampling, "SAMPLE_UNITS_MAX", 1_000)
    store = MemoryTelemetry()
    world = World(store)

    async def go(units: int) -> float:
        for unit in range(units):
            for number in {unit % processes, (unit // 2) % processes}:
                await world.step("expose", number, unit)
        await world.deliver_all()
        found = await store.exposures(RUN, -1, FOREVER)
        kept = sum(each.candidate.exposed + each.control.exposed for each in found)
        return kept * 1_000_000 / found[0].kept_ppm

    assert asyncio.run(go(900)) == 900
    assert asyncio.run(go(12_000)) == pytest.approx(12_000, rel=5 / 500**0.5)


def test_both_arms_are_thinned_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """One threshold: a crowded arm does not push the other out, so kept counts tell the split."""
    monkeypatch.setattr(sampling, "SAMPLE_UNITS_MAX", 1_000)
    store = MemoryTelemetry()
    world = World(store)

    async def go() -> tuple[int, int]:
        units = [unit for unit in range(40_000) if unit % 2 == 0 or unit % 20 == 1]  # ten controls for a candidate
        for unit in units:
            await world.step("expose", unit % 3, unit)
        await world.deliver_all()
        found = await store.exposures(RUN, -1, FOREVER)
        return sum(each.candidate.exposed for each in found), sum(each.control.exposed for each in found)

    candidates, controls = asyncio.run(go())
    assert candidates + controls <= 3_000
    expected = (candidates + controls) / 11
    assert abs(candidates - expected) < 5 * expected**0.5
