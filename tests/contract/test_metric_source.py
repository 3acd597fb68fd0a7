"""The promises of `ports.MetricSource`, asked of the double and of a real Prometheus that scrapes a real process."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from itertools import count
from math import isnan, nan
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

import prometheus_client
import pytest

from rollout_sdk.engine.model import Arm, Reach, RolloutState
from rollout_server.adapters.prometheus import Prometheus, open_prometheus
from rollout_server.domain.files import load
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import Asked, MetricQuery, Slot, query_of, sums_of
from tests.doubles.memory_metrics import MemoryMetrics
from tests.real_prometheus import SCRAPED_EVERY_MS, Exporter, RealPrometheus, exporting, prometheus

pytestmark = pytest.mark.xdist_group("prometheus")

WINDOW_MS = 1_000
REACH = 10_000
CANDIDATE, CONTROL = Slot(REACH, Arm.CANDIDATE), Slot(REACH, Arm.CONTROL)
PAGE = Path(__file__).parents[2] / "docs" / "guardrails.md"

Counts = dict[Slot, tuple[float | None, float | None]]
"""Requests and errors to add, by slot; None leaves a counter alone."""


class MemoryWorld:
    """A process with counters, scraped by the double; time goes on with each scrape."""

    def __init__(self) -> None:
        self.source = MemoryMetrics()
        self.name = "m"
        self._counters: defaultdict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
        self._at_ms = 1_000_000

    def count(self, counts: Counts) -> None:
        """Add to counters; those that are new appear."""
        for name, labels, by in _told(self.name, counts):
            self._counters[f"{name}_total", tuple(labels.items())] += by

    def scraped(self) -> int:
        """Return a window in which all that was counted before has been scraped."""
        self._at_ms += SCRAPED_EVERY_MS
        self.source.scrape(self._at_ms, "shop", dict(self._counters))
        return self._at_ms // WINDOW_MS

    def restart(self) -> None:
        """Start the process anew, with no counters."""
        self._counters.clear()


class RealWorld:
    """The same, and everything is real. Each test has counters of its own."""

    _names = count(1)

    def __init__(self, server: RealPrometheus, exporter: Exporter, source: Prometheus) -> None:
        self.source = source
        self.name = f"w{next(self._names)}"
        self._server = server
        self._exporter = exporter

    def count(self, counts: Counts) -> None:
        self._exporter.count(
            *((name, labels, None if isnan(by) else by) for name, labels, by in _told(self.name, counts))
        )

    def scraped(self) -> int:
        # A scrape may begin in the middle of a count: the one after the first that shows the mark shows all.
        mark = f"mark{next(self._names)}"
        self._exporter.count((mark, {}, 1))
        return self._server.scraped_after(f"{mark}_total", self._server.sees(f"{mark}_total", 1)) // WINDOW_MS

    def restart(self) -> None:
        self._exporter.restart()


World: TypeAlias = MemoryWorld | RealWorld


def _told(name: str, counts: Counts) -> Iterator[tuple[str, dict[str, str], float]]:
    for slot, added in counts.items():
        for what, by in zip(("requests", "errors"), added, strict=True):
            if by is not None:
                yield f"{name}_{what}", {"arm": slot.arm.value}, by


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    with exporting() as running:
        yield running


@pytest.fixture(scope="module")
def reader_process() -> Iterator[int]:
    """What a reader of the page would run: the default registry, served; its port."""
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1")
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server(
    exporter: Exporter, reader_process: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealPrometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), [exporter.port, reader_process]) as running:
        yield running


@pytest.fixture
async def source(server: RealPrometheus) -> AsyncIterator[Prometheus]:
    async with open_prometheus(server.url, "", timeout_ms=5_000) as opened:
        assert opened is not None
        yield opened


@pytest.fixture(params=["memory", "prometheus"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    server, exporter = request.getfixturevalue("server"), request.getfixturevalue("exporter")
    return RealWorld(server, exporter, request.getfixturevalue("source"))


@pytest.fixture
def real(server: RealPrometheus, exporter: Exporter, source: Prometheus) -> RealWorld:
    return RealWorld(server, exporter, source)


def query(world: World, late_ms: int = 2_000) -> MetricQuery:
    return MetricQuery(
        "errors",
        tuple(
            Asked(
                slot,
                f'{world.name}_errors_total{{arm="{slot.arm.value}"}}',
                f'{world.name}_requests_total{{arm="{slot.arm.value}"}}',
            )
            for slot in (CANDIDATE, CONTROL)
        ),
        late_ms,
    )


async def summed(world: World, after: int, through: int) -> dict[Slot, tuple[int, float]]:
    """Ask for windows as a controller does, and add up what came."""
    total = dict.fromkeys((CANDIDATE, CONTROL), Cell())
    answer = await world.source.windows(query(world), after, through, WINDOW_MS)
    assert (answer.fault, answer.through) == (None, through)
    for window in answer.windows:
        total = {slot: cell + window.cells[slot] for slot, cell in total.items()}
    return {slot: (cell.n, cell.x) for slot, cell in total.items()}


async def test_windows_hold_what_was_counted(world: World) -> None:
    """Exactly: not extrapolated, not sampled."""
    world.count({CANDIDATE: (0, 0), CONTROL: (0, 0)})
    before = world.scraped()
    world.count({CANDIDATE: (10, 1), CONTROL: (990, 30)})
    world.scraped()
    world.count({CANDIDATE: (7, 0), CONTROL: (700, 3)})
    assert await summed(world, before - 1, world.scraped()) == {CANDIDATE: (17, 1.0), CONTROL: (1690, 33.0)}


async def test_what_was_counted_before_the_first_scrape_is_nobodys(world: World) -> None:
    """A process may have counted for days before this run began."""
    world.count({CANDIDATE: (1_000, 500), CONTROL: (1_000, 500)})
    before = world.scraped()
    world.count({CANDIDATE: (1, 1), CONTROL: (2, 0)})
    assert await summed(world, before - 1, world.scraped()) == {CANDIDATE: (1, 1.0), CONTROL: (2, 0.0)}


async def test_the_first_error_counts(world: World) -> None:
    """Its series appears with it, on a process that was scraped without it."""
    world.count({CANDIDATE: (5, None), CONTROL: (5, None)})
    before = world.scraped()
    world.count({CANDIDATE: (6, 4), CONTROL: (7, 1)})
    assert await summed(world, before - 1, world.scraped()) == {CANDIDATE: (6, 4.0), CONTROL: (7, 1.0)}


async def test_each_count_is_in_one_window_whatever_is_asked(world: World) -> None:
    """Two questions tell what one would have told."""
    world.count({CANDIDATE: (0, 0), CONTROL: (0, 0)})
    start = world.scraped()
    world.count({CANDIDATE: (9, 1), CONTROL: (90, 2)})
    middle = world.scraped()
    world.count({CANDIDATE: (4, 0), CONTROL: (40, 0)})
    through = max(world.scraped(), middle + 1)
    whole = await world.source.windows(query(world), start - 1, through, WINDOW_MS)
    first = await world.source.windows(query(world), start - 1, middle, WINDOW_MS)
    rest = await world.source.windows(query(world), middle, through, WINDOW_MS)
    cells = [window.cells for window in whole.windows]
    assert [window.cells for window in (*first.windows, *rest.windows)] == cells
    assert sum(cell[CANDIDATE].n for cell in cells) == 13


async def test_a_process_that_began_again_spoils_its_window(world: World) -> None:
    """Its counters fell: the window is left out, and what comes after it counts."""
    world.count({CANDIDATE: (100, 10), CONTROL: (100, 10)})
    before = world.scraped()
    world.restart()
    world.count({CANDIDATE: (60, 1), CONTROL: (70, 1)})
    fell = world.scraped()
    asked = [await world.source.windows(query(world), before - 1, last, WINDOW_MS) for last in range(before, fell + 1)]
    assert Reason.COUNTER_RESET in [answer.fault for answer in asked]
    assert [
        window.cells[CANDIDATE].n for answer in asked for window in answer.windows if window.cells[CANDIDATE].n
    ] == []
    while world.scraped() <= fell:
        pass
    world.count({CANDIDATE: (5, 1), CONTROL: (6, 0)})
    assert await summed(world, fell, world.scraped()) == {CANDIDATE: (5, 1.0), CONTROL: (6, 0.0)}


async def test_one_silent_arm_is_told(world: World) -> None:
    """The control counts, and of the candidate there is nothing."""
    world.count({CONTROL: (10, 1)})
    through = world.scraped()
    answer = await world.source.windows(query(world), through - 5, through, WINDOW_MS)
    assert (answer.windows, answer.fault) == ((), Reason.ONE_ARM)
    assert "candidate" in answer.detail


async def test_nothing_at_all_is_told(world: World) -> None:
    """A name that nobody counts under is no zero."""
    through = world.scraped()
    answer = await world.source.windows(query(world), through - 5, through, WINDOW_MS)
    assert (answer.windows, answer.fault) == ((), Reason.EMPTY)


async def test_old_samples_are_told(world: World) -> None:
    """What was scraped a minute ago says nothing of now."""
    world.count({CANDIDATE: (10, 1), CONTROL: (10, 1)})
    through = world.scraped() + 60
    answer = await world.source.windows(query(world), through - 5, through, WINDOW_MS)
    assert (answer.windows, answer.fault) == ((), Reason.STALE)


async def test_a_count_that_is_no_number_is_told(world: World) -> None:
    """NaN spoils the window that it is in."""
    world.count({CANDIDATE: (10, 1), CONTROL: (10, 1)})
    before = world.scraped()
    world.count({CANDIDATE: (10, nan)})
    answer = await world.source.windows(query(world), before - 1, world.scraped(), WINDOW_MS)
    assert answer.fault is Reason.NOT_A_NUMBER


async def test_how_it_is_may_be_asked_without_a_new_window(world: World) -> None:
    """A fault is told as long as it lasts, and no longer."""
    through = world.scraped()
    assert (await world.source.windows(query(world), through, through, WINDOW_MS)).fault is Reason.EMPTY
    world.count({CANDIDATE: (1, 1), CONTROL: (1, 1)})
    through = world.scraped()
    answer = await world.source.windows(query(world), through, through, WINDOW_MS)
    assert (answer.windows, answer.through, answer.fault) == ((), through, None)


async def test_long_pauses_are_answered_piece_by_piece(real: RealWorld) -> None:
    """One question is bounded; the next goes on where it stopped."""
    real.count({CANDIDATE: (1, 1), CONTROL: (1, 1)})
    through = real.scraped()
    answer = await real.source.windows(query(real), through - 10_000, through, WINDOW_MS)
    assert through - 10_000 < answer.through < through


async def test_a_server_that_hangs_is_told_in_time_and_left_alone(server: RealPrometheus, real: RealWorld) -> None:
    """It holds up one question for as long as the limit says, and the next ones not at all."""
    real.count({CANDIDATE: (1, 1), CONTROL: (1, 1)})
    through = real.scraped()
    async with open_prometheus(server.url, "", timeout_ms=100) as source:
        assert source is not None
        server.hang()
        try:
            answers = [await source.windows(query(real), through - 1, through, WINDOW_MS) for _ in range(100)]
        finally:
            server.wake()
    assert {(one.fault, one.through) for one in answers} == {(Reason.SLOW, through - 1)}
    assert [one.detail for one in answers[:2]] == ["within 0.1 s", "it hung a moment ago and is left alone for a while"]
    assert (await real.source.windows(query(real), through, through, WINDOW_MS)).fault is None


async def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    """And so is one that comes back."""
    with prometheus(tmp_path) as server:
        async with open_prometheus(server.url, "", timeout_ms=5_000) as source:
            assert source is not None
            asked = MetricQuery("errors", (Asked(CANDIDATE, "e", "a"), Asked(CONTROL, "e", "a")), 2_000)
            assert (await source.windows(asked, 0, 1, WINDOW_MS)).fault is Reason.EMPTY
            server.kill()
            answer = await source.windows(asked, 0, 1, WINDOW_MS)
            assert (answer.windows, answer.through, answer.fault) == ((), 0, Reason.UNREACHABLE)


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("sum(", Reason.REFUSED, "HTTP 400"),
        ("x and on(a) group_left() y", Reason.REFUSED, "HTTP 400"),
    ],
)
async def test_what_prometheus_refuses_is_told_in_its_words(
    server: RealPrometheus, source: Prometheus, text: str, reason: Reason, said: str
) -> None:
    """A query that got past `apply` and still cannot be asked."""
    bare = MetricQuery("ratio", (Asked(CANDIDATE, text), Asked(CONTROL, text)), 2_000, 2_000)
    answer = await source.windows(bare, 0, 1, WINDOW_MS)
    assert answer.fault is reason
    assert said in answer.detail


async def test_a_bare_ratio_is_asked_at_the_end_of_each_window(real: RealWorld) -> None:
    """One value for each arm; 0 of 0 is no number."""
    real.count({CANDIDATE: (10, 1), CONTROL: (10, 2)})
    real.scraped()
    through = real.scraped()

    def ratio(arm: str) -> str:
        return f'sum({real.name}_errors_total{{arm="{arm}"}}) / sum({real.name}_requests_total{{arm="{arm}"}})'

    bare = MetricQuery("ratio", (Asked(CANDIDATE, ratio("candidate")), Asked(CONTROL, ratio("control"))), 1_000, 1_000)
    answer = await real.source.windows(bare, through - 1, through, WINDOW_MS)
    assert [window.cells for window in answer.windows] == [{CANDIDATE: Cell(1, 0.1), CONTROL: Cell(1, 0.2)}]
    nothing = MetricQuery(
        "ratio",
        tuple(Asked(slot, f"vector(0) / vector(0) or {real.name}_x") for slot in (CANDIDATE, CONTROL)),
        1_000,
        1_000,
    )
    assert (await real.source.windows(nothing, through - 1, through, WINDOW_MS)).fault is Reason.NOT_A_NUMBER
    many = MetricQuery(
        "ratio", tuple(Asked(slot, f"{real.name}_requests_total") for slot in (CANDIDATE, CONTROL)), 1_000, 1_000
    )
    assert (await real.source.windows(many, through - 1, through, WINDOW_MS)).fault is Reason.TOO_MANY_SERIES


def _blocks(language: str) -> list[str]:
    section = PAGE.read_text(encoding="utf-8").split("## Metrics from Prometheus")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


async def test_the_example_of_the_page_counts(server: RealPrometheus, source: Prometheus) -> None:
    """The metric and the code of docs/guardrails.md, as a reader would paste them, against a real Prometheus."""
    (code,), (text,) = _blocks("python"), _blocks("yaml")
    loaded = load(text)
    assert loaded.problems == ()
    metric = loaded.documents[0].resource
    assert metric is not None
    assert isinstance(metric.spec, MetricSpec)
    defining, deciding = code.split("\n\n")[:2], code.split("\n\n")[-1]
    names: dict[str, object] = {"user": None}
    exec("\n".join(defining), names)  # noqa: S102 - the page's own lines

    def serve(arm: Arm, requests: int, failed: int) -> None:
        decision = SimpleNamespace(arm=arm, rollout="checkout-v2-launch", run=1, reach_ppm=REACH)
        names["client"] = SimpleNamespace(decide=lambda *_: decision)
        for number in range(requests):
            names["succeeded"] = number >= failed
            exec(deciding, names)  # noqa: S102 - the same

    serve(Arm.CANDIDATE, 1, 0)
    serve(Arm.CONTROL, 1, 0)
    at_ms = server.sees("checkout_requests_total", 2)
    before = server.scraped_after("checkout_requests_total", at_ms) // WINDOW_MS
    serve(Arm.CANDIDATE, 20, 3)
    serve(Arm.CONTROL, 40, 1)
    at_ms = server.sees("checkout_requests_total", 62)
    through = server.scraped_after("checkout_requests_total", at_ms) // WINDOW_MS
    state = RolloutState(
        "checkout-v2-launch", "checkout-v2", 1, "off", "on", "s" * 16, reaches=(Reach("canary", REACH),), allocation=2
    )
    asked = query_of(metric.metadata.key, metric.spec, state, "production")
    assert isinstance(asked, MetricQuery)
    answer = await source.windows(asked, before - 1, through, WINDOW_MS)
    assert answer.fault is None
    sums = sums_of(asked, state, answer.windows, since_ms=0)
    assert {(one.metric, one.run, one.allocation, one.reach_ppm) for one in sums} == {
        ("checkout.error_rate", 1, 2, REACH)
    }
    assert (sum(one.candidate.n for one in sums), sum(one.candidate.x for one in sums)) == (20, 3)
    assert (sum(one.control.n for one in sums), sum(one.control.x for one in sums)) == (40, 1)
