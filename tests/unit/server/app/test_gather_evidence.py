"""What came in since the last look, and who reports."""

from __future__ import annotations

from rollout_server.app.gather_evidence import Gathered, Sources, gather
from rollout_server.app.read_metrics import ReadMetrics
from rollout_server.domain.guardrails.data import ExposureSums
from rollout_server.domain.guardrails.look import Feed
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.judging import begin, watched
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.telemetry import PROCESS_LOST, ProcessWindow, RunId
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.rollout_room import Room, documents, guarded, room
from tests.small_environment import document


async def gathered(stand: Room, judged: dict[str, int] | None = None) -> Gathered:
    metric = stand.environment.state.resources[ResourceId(Kind.METRIC, "errors")].spec
    assert isinstance(metric, MetricSpec)
    guards = watched(stand.run(), {"errors": metric})
    evidence = begin(1)
    if judged is not None:
        evidence = type(evidence)(evidence.ratio, evidence.cases, judged)
    reading = ReadMetrics(stand.metrics, "production", stand.clock, stand.ingest.clock)
    sources = Sources(stand.ingest, stand.instances, stand.clock, reading)
    return await gather(sources, sources.reporting(), stand.environment.ruleset.rollouts["launch"], guards, evidence)


async def test_only_windows_that_the_watermark_has_passed() -> None:
    """And later than those judged before."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        for _ in range(5):
            await stand.report((10, 1), (40, 2))
            stand.clock.advance(1_000)
        found = await gathered(stand)
        windows = [one.window for one in found.found["errors"].windows]
        assert len(windows) == 3  # the last two may still grow
        assert found.found["errors"].passed == windows[-1]
        later = await gathered(stand, {"errors": windows[0], "": windows[1]})
        assert [one.window for one in later.found["errors"].windows] == windows[1:]
        assert [one.window for one in later.exposures[0]] == windows[2:]


class Slow(MemoryTelemetry):
    """A store that takes a window's length to answer."""

    def __init__(self, clock: FakeClock, window_ms: int) -> None:
        super().__init__(window_ms)
        self.clock = clock

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        found = await super().exposures(run, after, through)
        self.clock.advance(self.window_ms)
        return found


async def test_units_and_outcomes_of_a_look_end_with_the_same_window() -> None:
    """However long the store takes: a verdict is told with the units that its evidence is of, not with fewer."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        stand.ingest.store = stand.store = slow = Slow(stand.clock, stand.store.window_ms)
        for _ in range(6):
            await stand.report((10, 1), (40, 2))
            stand.clock.advance(slow.window_ms)
        found = await gathered(stand)
        exposures, through = found.exposures
        assert found.found["errors"].passed == found.found[PROCESS_LOST].passed == through
        assert [one.window for one in found.found["errors"].windows] == [one.window for one in exposures]


async def test_lost_processes_come_in_like_every_metric() -> None:
    """One arm without a control."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        await stand.start()
        await stand.store.add_processes(ProcessWindow(stand.ingest.clock.window_at(stand.ingest.clock.now_ms()), 5, 2))
        stand.clock.advance(4_000)
        (one,) = (await gathered(stand)).found[PROCESS_LOST].windows
        assert (one.candidate.n, one.candidate.x, one.reach_ppm) == (5, 2.0, 1_000_000)


async def test_who_should_have_reported() -> None:
    """Nobody is missed who just came; whoever was there and is silent is."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        await stand.start()
        stand.connect()
        assert (await gathered(stand)).found["errors"].feed == Feed(0, 0)
        stand.clock.advance(10_000)
        assert (await gathered(stand)).found["errors"].feed == Feed(1, 0)
        await stand.report()
        assert (await gathered(stand)).found["errors"].feed == Feed(1, 1)


PROMETHEUS = {
    "measures": "proportion",
    "per": "event",
    "late": "2s",
    "source": "prometheus",
    "numerator": 'errors_total{arm="{arm}"}',
    "denominator": 'requests_total{arm="{arm}"}',
}


def counted(stand: Room, seconds: int, **failing: int) -> None:
    """Let Prometheus scrape a shop that has served so many seconds: 100 requests each, so many of which fail."""
    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for arm, failed in failing.items():
        counts["requests_total", (("arm", arm),)] = 100.0 * seconds
        counts["errors_total", (("arm", arm),)] = float(failed * seconds)
    stand.metrics.scrape(stand.clock.now_ms() - 200, "shop", counts)


def guarded_by_prometheus() -> list[object]:
    (_, *others) = documents(
        {"name": "canary", "share": "20%", "soak": "10m"},
        pipeline={"guardrails": guarded(), "on_blind": {"hold": "10m", "then": "hold"}},
    )
    return [document("Metric", "errors", PROMETHEUS), *others]


async def test_what_prometheus_counts_rolls_back_by_itself() -> None:
    """The same road as every metric: windows, verdict, one entry."""
    async with room(*guarded_by_prometheus()) as stand:
        await stand.start()
        for second in range(60):
            counted(stand, second, candidate=30, control=1)
            await stand.tick()
        run = stand.run()
        assert run.phase is Phase.ROLLED_BACK
        assert run.end is not None
        assert run.end.guard == "errors"


async def test_what_prometheus_does_not_say_holds() -> None:
    """One arm without series, then a server that is away: held with the reason, until it is there again."""
    async with room(*guarded_by_prometheus()) as stand:
        await stand.start()
        for second in range(10):
            counted(stand, second, control=1)
            await stand.tick()
        run = stand.run()
        assert run.phase is Phase.HELD
        assert run.held is not None
        assert "one arm sends nothing while the other does (the candidate has no series" in run.held.sentence
        for second in range(10, 20):
            counted(stand, second, candidate=1, control=1)
            await stand.tick()
        run = stand.run()
        assert run.phase is Phase.RUNNING
        stand.metrics.fault = Reason.UNREACHABLE
        run = await stand.tick()
        assert run.held is not None
        assert "the metrics server cannot be reached" in run.held.sentence
