"""Metrics of Prometheus for a run, as the controller reads them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, TypeAlias

from rollout_sdk.engine.model import PPM, Arm, Leaf, Reach, RolloutState
from rollout_server.app.read_metrics import ReadMetrics
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.guardrails.spec import Measures, MetricSpec, Per, Source
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.judging import Found
from rollout_server.domain.metric_source import MetricQuery, MetricWindows
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_metrics import MemoryMetrics

WINDOW_MS = 10_000
NOW_MS = 1_000_000
SPEC = MetricSpec(
    Measures.PROPORTION,
    Per.EVENT,
    source=Source.PROMETHEUS,
    numerator='sum(errors{arm="{arm}"})',
    denominator='sum(requests{arm="{arm}"})',
    late_ms=20_000,
)
CANARY = Reach("canary", 10_000)


def state(allocation: int = 1, *reaches: Reach) -> RolloutState:
    return RolloutState(
        "launch", "checkout", 1, "off", "on", "s" * 16, reaches=reaches or (CANARY,), allocation=allocation
    )


Counts: TypeAlias = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scraped:
    """A shop that serves 10 requests an arm and a second, one of which fails, since long ago."""

    def __init__(self, source: Any = None, patience_ms: int = 5_000) -> None:
        self.clock = FakeClock(NOW_MS)
        self.metrics = MemoryMetrics()
        self._second = NOW_MS // 1_000 - 60
        windows = WindowClock(self.clock, WINDOW_MS, -1)
        self.reading = ReadMetrics(source or self.metrics, "production", self.clock, windows, patience_ms)
        self.unsourced = ReadMetrics(None, "production", self.clock, windows)
        self.until(NOW_MS)

    def until(self, now_ms: int) -> None:
        """Let time go on, with a scrape each 5 s."""
        for second in range(self._second, now_ms // 1_000):
            if second % 5 == 2:
                counts: Counts = {}
                for arm in Arm:
                    counts["requests", (("arm", arm.value),)] = 10.0 * second
                    counts["errors", (("arm", arm.value),)] = 1.0 * second
                self.metrics.scrape(second * 1_000, "shop", counts)
        self._second = now_ms // 1_000
        self.clock.advance(now_ms - self.clock.now_ms())

    async def read(self, seen: RolloutState, judged: int = -1, spec: MetricSpec = SPEC) -> Found:
        return (await self.reading.read(seen, {"errors": spec}, {"errors": judged}))["errors"]


async def test_windows_come_once_the_watermark_has_passed_them() -> None:
    """What this run has not seen begin belongs to nobody; what the watermark has passed is told once."""
    shop = Scraped()
    first = await shop.read(state())
    assert (list(first.windows), first.feed.fault) == ([], None)
    shop.until(NOW_MS + 50_000)
    found = await shop.read(state(), first.passed or -1)
    assert [(sums.window, sums.candidate.n, sums.candidate.x, sums.control.n) for sums in found.windows] == [
        (101, 100, 10.0, 100),
        (102, 100, 10.0, 100),
    ]
    assert (found.passed, found.feed.fault) == (102, None)
    assert list((await shop.read(state(), 102)).windows) == []


async def test_a_window_of_two_allocations_is_left_out() -> None:
    """An allocation counts from its first look, and windows never span two."""
    shop = Scraped()
    await shop.read(state(1))
    shop.until(NOW_MS + 45_000)
    await shop.read(state(2), 99)
    shop.until(NOW_MS + 100_000)
    found = await shop.read(state(2), 99)
    assert [(sums.allocation, sums.window) for sums in found.windows] == [(2, 105), (2, 106), (2, 107)]


async def test_a_run_that_exposes_nobody_is_not_asked_for() -> None:
    """Rolled back, cancelled, not started."""
    shop = Scraped()
    nobody = RolloutState("launch", "checkout", 1, "off", "on", "s" * 16, allocation=1)
    assert await shop.read(nobody) == Found()
    assert shop.metrics.asked == []


async def test_without_a_source_the_metric_is_blind() -> None:
    """Nobody is told that it is healthy because nobody looked."""
    found = await Scraped().unsourced.read(state(), {"errors": SPEC}, {})
    assert found["errors"].feed.fault is Reason.NO_SOURCE


async def test_several_reaches_are_no_evidence() -> None:
    """Without {reach} nothing is asked."""
    shop = Scraped()
    pilots = Reach("pilots", PPM, Leaf("plan", "equals", "pro"))
    found = await shop.read(state(1, pilots, CANARY))
    assert (found.feed.fault, shop.metrics.asked) == (Reason.MIXED_REACH, [])


async def test_series_of_a_new_run_may_begin_with_it() -> None:
    """Before its first window is over nothing is missing; a server that is away is away at once."""
    shop = Scraped()
    named = replace(SPEC, numerator='errors{arm="{arm}",run="{run}"}', denominator='requests{arm="{arm}",run="{run}"}')
    assert (await shop.read(state(), spec=named)).feed.fault is None
    shop.until(NOW_MS + 39_000)
    assert (await shop.read(state(), spec=named)).feed.fault is None
    shop.until(NOW_MS + 40_000)
    assert (await shop.read(state(), spec=named)).feed.fault is Reason.EMPTY
    shop.metrics.fault = Reason.UNREACHABLE
    assert (await shop.read(state(2), spec=named)).feed.fault is Reason.UNREACHABLE


async def test_a_fault_is_told_and_nothing_is_passed() -> None:
    """The windows are asked for again, as soon as somebody answers."""
    shop = Scraped()
    await shop.read(state())
    shop.until(NOW_MS + 50_000)
    shop.metrics.fault = Reason.UNREACHABLE
    blind = await shop.read(state(), 100)
    assert (blind.windows, blind.passed) == ((), None)
    assert (blind.feed.fault, blind.feed.detail) == (Reason.UNREACHABLE, "as the test says")
    shop.metrics.fault = None
    assert [sums.window for sums in (await shop.read(state(), 100)).windows] == [101, 102]


class Stuck(MemoryMetrics):
    async def windows(self, query: MetricQuery, after: int, through: int, window_ms: int) -> MetricWindows:
        await asyncio.Event().wait()
        return MetricWindows((), after)


async def test_a_source_that_breaks_its_promise_holds_nobody_up() -> None:
    """Several of them no longer than one."""
    shop = Scraped(Stuck(), patience_ms=20)
    found = await shop.reading.read(state(), {"a": SPEC, "b": SPEC}, {})
    assert {key: one.feed.fault for key, one in found.items()} == {"a": Reason.SLOW, "b": Reason.SLOW}
