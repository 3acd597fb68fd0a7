"""Sums that nobody reads any more."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from rollout_server.app.ingest_telemetry import IngestTelemetry
from rollout_server.app.prune_telemetry import KEEP_MS, keep_pruned, prune_telemetry
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.telemetry import RunId
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.telemetry_world import RUN, cell, intake, launch_ruleset, place


async def test_a_week_is_kept() -> None:
    """And no more."""
    clock, store = FakeClock(), MemoryTelemetry()
    ingest = IngestTelemetry(store, WindowClock(clock, 10_000, -1), launch_ruleset, lambda: 5_000)
    now = ingest.clock.window_at(ingest.clock.now_ms())
    old, new = now - KEEP_MS // 10_000 - 1, now
    await store.commit(intake(events=tuple((place(), each, "errors", cell()) for each in (old, new))))
    assert await prune_telemetry(ingest) == 1
    assert [each.window for each in await store.sums(RUN, "errors", -1, 1 << 50)] == [new]


class Flaky(MemoryTelemetry):
    """Away at the first call; says when the second was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.answered = asyncio.Event()

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        self.calls += 1
        if self.calls == 1:
            raise Unavailable("telemetry", "the store is away", "try again")
        gone = await super().prune(before_window, runs)
        self.answered.set()
        return gone


async def test_it_goes_on_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away is pruned the next time."""
    monkeypatch.setattr("rollout_server.app.prune_telemetry.PRUNE_EVERY_S", 0.0)
    store = Flaky()
    await store.commit(intake(events=((place(), 1, "errors", cell()),)))
    ingest = IngestTelemetry(store, WindowClock(FakeClock(), 10_000, -1), launch_ruleset, lambda: 5_000)
    work = asyncio.create_task(keep_pruned([ingest]))
    await store.answered.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await store.sums(RUN, "errors", -1, 1 << 50) == ()
