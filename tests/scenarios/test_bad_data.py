"""Bad data, row by row of the table in docs/guardrails.md, over the real controller: no advance, always a reason."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from rollout_sdk.engine.model import PPM, Arm
from rollout_server.adapters.prometheus import open_prometheus
from rollout_server.app.apply import Apply, apply
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Trigger
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, RunId, WindowReport
from rollout_server.errors import InvalidInput
from tests.doubles.memory_journal import MemoryJournal
from tests.rollout_room import ERRORS, MIA, TICK_MS, Room, documents, guarded, room
from tests.small_environment import delete, document, put

HEALTHY = {"guardrails": "healthy"}
STAGES: list[dict[str, Any]] = [
    {"name": "canary", "share": "20%", "soak": "3s", "exit": HEALTHY},
    {"name": "half", "share": "50%", "soak": "1h"},
]
PIPELINE = {"guardrails": guarded(), "on_blind": {"hold": "30s", "then": "rollback"}}
COUNTERS = {
    "measures": "proportion", "per": "event", "late": "2s", "source": "prometheus",
    "numerator": 'errors_total{arm="{arm}"}', "denominator": 'requests_total{arm="{arm}"}',
}  # fmt: skip
RUN = RunId("launch", 1)
FINE = ((100, 10), (400, 40))
BAD_TICKS, GOOD_TICKS = 20, 80


def given(metric: dict[str, Any] | None = None) -> list[Any]:
    found = documents(*STAGES, pipeline=PIPELINE)
    return [document("Metric", "errors", metric) if metric else ERRORS, *found[1:]]


@dataclass
class Shop:
    """The one process that reports, well or badly."""

    stand: Room
    sequence: int = 0
    unit: int = 0

    def units(self, count: int) -> tuple[int, ...]:
        self.unit += count
        return tuple(range(self.unit - count, self.unit))

    def window(
        self,
        candidate: tuple[int, int],
        control: tuple[int, int],
        *,
        age_ms: int = 0,
        silent: Sequence[Arm] = (),
        more: Sequence[ArmReport] = (),
        allocation: int | None = None,
    ) -> WindowReport:
        """Units of both arms, and how many of them failed; a silent arm is exposed, and tells no outcome."""
        run = self.stand.run()
        arms = []
        for arm, (count, bad) in ((Arm.CANDIDATE, candidate), (Arm.CONTROL, control)):
            units = self.units(count)
            place = Place(RUN, allocation or run.allocation, run.entered[-1].share_ppm, "", arm)
            outcomes = tuple(Outcome(unit, float(at < bad)) for at, unit in enumerate(units))
            said = () if arm in silent else (("errors", outcomes),)
            arms.append(ArmReport(place, outcomes=said, exposed=units, reporting=() if arm in silent else units))
        return WindowReport(age_ms, (*arms, *more))

    async def send(self, *windows: WindowReport, sequence: int = 0) -> int:
        self.sequence = sequence or self.sequence + 1
        return await self.stand.ingest.take("t", Report("i", self.sequence, windows))

    async def fine(self, ticks: int = 1) -> Run:
        """Let ticks pass with a tenth of both arms failing, split as the stage says."""
        for _ in range(ticks):
            candidate = 500 * self.stand.run().entered[-1].share_ppm // PPM
            await self.send(self.window((candidate, candidate // 10), (500 - candidate, (500 - candidate) // 10)))
            await self.stand.tick()
        return self.stand.run()

    def verdict(self, guard: str = "errors") -> Verdict:
        """As the last tick saw it."""
        return dict(self.stand.runs.memories[RUN].verdicts)[guard]

    def seen(self) -> int:
        """Outcomes of the candidate that are in the evidence."""
        return self.stand.runs.memories[RUN].evidence.cases["errors"].state.candidate_n


@asynccontextmanager
async def shop(*stands: Any) -> AsyncIterator[Shop]:
    """A run that soaks, with five good windows behind it."""
    async with room(*(stands or given())) as stand:
        stand.connect()
        await stand.start()
        found = Shop(stand)
        await found.fine(5)
        assert stand.run().stage_name == "canary"
        yield found


def journal_of(stand: Room) -> MemoryJournal:
    """The double itself, which a test makes fail."""
    journal = stand.environment.journal
    assert isinstance(journal, MemoryJournal)
    return journal


Feed = Callable[[Shop], Awaitable[object]]


async def nothing(_: Shop) -> None:
    """The process holds its stream, and is silent."""


async def quiet(one: Shop) -> None:
    await one.send(WindowReport(0))


async def candidate_silent(one: Shop) -> None:
    await one.send(one.window(*FINE, silent=[Arm.CANDIDATE]))


async def control_silent(one: Shop) -> None:
    await one.send(one.window(*FINE, silent=[Arm.CONTROL]))


async def candidate_absent(one: Shop) -> None:
    await one.send(one.window((0, 0), (400, 40)))


async def stale(one: Shop) -> None:
    await one.send(one.window(*FINE, age_ms=60 * TICK_MS))


async def yesterday(one: Shop) -> None:
    assert await one.send(one.window(*FINE, age_ms=25 * 3_600_000)) > 0


async def badly_split(one: Shop) -> None:
    await one.send(one.window((250, 25), (250, 25)))


async def boasting(one: Shop) -> None:
    """A thousand happy users of the candidate who never were."""
    await one.send(one.window((1_100, 10), (400, 40)))


async def not_numbers(one: Shop) -> None:
    place = Place(RUN, one.stand.run().allocation, 200_000, "", Arm.CANDIDATE)
    outcomes = tuple(Outcome(unit, math.nan) for unit in one.units(100))
    assert await one.send(WindowReport(0, (ArmReport(place, outcomes=(("errors", outcomes),)),))) > 0


async def more_than_all(one: Shop) -> None:
    """Of a metric per unit, sums; of events, more failures than there were: neither is ever summed."""
    place = Place(RUN, one.stand.run().allocation, 200_000, "", Arm.CANDIDATE)
    lie = ArmReport(place, events=(("errors", Cell(10, 90.0, 90.0)),))
    assert await one.send(WindowReport(0, (lie,))) > 0


async def of_no_run(one: Shop) -> None:
    assert await one.send(one.window(*FINE, allocation=one.stand.run().allocation + 7)) > 0


@dataclass(frozen=True)
class Row:
    """One kind of bad data, and what must come of it while it lasts."""

    name: str
    feed: Feed
    phase: Phase
    standing: Standing
    reason: Reason
    says: str
    recovers: bool = True


HELD, WAITS = (Phase.HELD, Standing.SKEWED, Reason.SKEW), (Phase.RUNNING, Standing.UNDECIDED, Reason.QUIET)
SPLIT = "split wrongly"
ROWS = [
    Row("absent", nothing, Phase.HELD, Standing.BLIND, Reason.NO_REPORTS, "no instance has reported by the watermark"),
    Row("quiet night", quiet, *WAITS, "instances report, nothing happens"),
    Row("NaN", not_numbers, *WAITS, "nothing happens"),
    Row("impossible sums", more_than_all, *WAITS, "nothing happens"),
    Row("stale", stale, *WAITS, "nothing happens"),
    Row("of yesterday", yesterday, *WAITS, "nothing happens"),
    Row("of no allocation", of_no_run, *WAITS, "nothing happens"),
    Row("candidate never exposed", candidate_absent, *HELD, SPLIT, recovers=False),
    Row("candidate silent", candidate_silent, *HELD, SPLIT, recovers=False),
    Row("control silent", control_silent, *HELD, SPLIT, recovers=False),
    Row("badly split", badly_split, *HELD, SPLIT, recovers=False),
    Row("boasting", boasting, *HELD, SPLIT, recovers=False),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_bad_data_never_advances_and_says_why(row: Row) -> None:
    """Held or waiting, with its own reason; when data is good again the run goes on by itself."""
    async with shop() as one:
        for _ in range(BAD_TICKS):
            await row.feed(one)
            await one.stand.tick()
            assert one.stand.run().stage_name == "canary"
        run, verdict = one.stand.run(), one.verdict()
        assert (run.phase, verdict.standing, verdict.reason) == (row.phase, row.standing, row.reason)
        assert row.says in verdict.sentence
        if run.phase is Phase.HELD:
            assert run.held is not None
            assert row.says in run.held.sentence
        assert not {"advance", "complete"} & set(await one.stand.actions())
        assert ((await one.fine(GOOD_TICKS)).stage_name == "half") is row.recovers


async def test_one_arm_without_events_is_blind() -> None:
    """The new code path does not record: the other arm's twenty outcomes are enough to say so."""
    events = {"measures": "proportion", "per": "event", "bad": "high", "late": "0s"}
    async with shop(*given(events)) as one:
        for _ in range(BAD_TICKS):
            place = Place(RUN, one.stand.run().allocation, 200_000, "", Arm.CONTROL)
            units = {Arm.CANDIDATE: one.units(20), Arm.CONTROL: one.units(80)}
            arms = [ArmReport(place._replace(arm=arm), exposed=each, reporting=each) for arm, each in units.items()]
            told = ArmReport(place, events=(("errors", Cell(80, 8.0, 8.0)),))
            await one.send(WindowReport(0, (*arms, told)))
            await one.stand.tick()
        run, verdict = one.stand.run(), one.verdict()
        assert (run.phase, run.stage_name, verdict.reason) == (Phase.HELD, "canary", Reason.ONE_ARM)
        assert "one arm sends nothing while the other does" in verdict.sentence


async def test_a_report_that_comes_again_counts_once() -> None:
    """However often, and after a restart: the high-water mark and the sums were committed together."""
    async with shop() as one:
        window = one.window(*FINE)
        await one.send(window)
        for _ in range(30):
            assert await one.send(window, sequence=one.sequence) == 0
        one.stand.controller()
        await one.send(window, sequence=one.sequence)
        await one.fine(10)
        honest = one.seen()
    async with shop() as one:
        await one.fine(11)
        assert one.seen() == honest


async def test_windows_out_of_order_are_judged_in_order() -> None:
    """One report brings three windows, the newest first: the evidence is that of three reports, each in its time."""
    async with shop() as one:
        await one.fine(3)
        await one.fine(6)
        in_time = one.seen(), one.verdict().log_e
    async with shop() as one:
        kept = []
        for _ in range(3):
            kept.append(one.window(*FINE))
            one.stand.clock.advance(TICK_MS)  # no tick: the watermark has passed none of them yet
        aged = [WindowReport((3 - at) * TICK_MS, window.arms) for at, window in enumerate(kept)]
        await one.send(*reversed(aged))
        await one.fine(6)
        assert one.seen() == in_time[0]
        assert one.verdict().log_e == pytest.approx(in_time[1], rel=0.2)


async def test_a_report_that_overtakes_another_costs_it_and_nothing_else() -> None:
    """One report is in flight at a time; an older number is taken for a repeat: less is counted, never more."""
    async with shop() as one:
        late = one.window((100, 90), (400, 40))
        await one.send(one.window(*FINE), sequence=one.sequence + 2)
        assert await one.send(late, sequence=one.sequence - 1) == 0
        one.sequence += 1
        before = one.seen()
        await one.fine(8)
        assert one.seen() <= before + 9 * 100
        assert one.stand.run().phase is Phase.RUNNING


async def test_one_liar_among_honest_processes_moves_nothing() -> None:
    """What cannot be is left out and counted as lost; the others are judged as if it were not there."""
    async with shop() as one:
        for _ in range(BAD_TICKS):
            place = Place(RUN, one.stand.run().allocation, 200_000, "", Arm.CANDIDATE)
            lie = ArmReport(place, outcomes=(("errors", tuple(Outcome(unit, 9e9) for unit in one.units(50))),))
            lies = Report("liar", one.sequence + 1, (WindowReport(0, (lie,)),))
            assert await one.stand.ingest.take("t", lies) == 1
            await one.fine()
        assert one.stand.ingest.losses["impossible"] == BAD_TICKS
        assert one.verdict().standing in {Standing.UNDECIDED, Standing.HEALTHY}, one.verdict().sentence
        assert one.stand.run().phase is Phase.RUNNING


async def test_absent_for_longer_than_allowed_is_rolled_back() -> None:
    """`on_blind`: held for 30 s, then back, by the engine and for that reason."""
    async with shop() as one:
        run = await one.stand.tick(45)
        assert run.phase is Phase.ROLLED_BACK
        assert run.end is not None
        assert run.end.trigger is Trigger.BLIND
        assert "not all guardrails were seen for 30s" in run.end.why


async def test_a_fleet_that_is_cut_off_is_blindness() -> None:
    """No process has a stream, and none said goodbye: time alone, which is all this stage asks for, leads nowhere."""
    stages = ({"name": "canary", "share": "20%", "soak": "90s"}, STAGES[1])
    async with shop(*documents(*stages, pipeline=PIPELINE)) as one:
        one.stand.instances.disconnect(one.stand.stream)
        run = await one.stand.tick(40)
        assert (run.phase, run.stage_name, one.verdict().reason) == (Phase.HELD, "canary", Reason.NO_REPORTS)
        one.stand.connect()
        await one.fine(20)
        assert one.stand.run().phase is Phase.RUNNING
        one.stand.instances.disconnect(one.stand.stream)
        run = await one.stand.tick(70)
        assert run.end is not None
        assert (run.phase, run.end.trigger, run.end.stage) == (Phase.ROLLED_BACK, Trigger.BLIND, "canary")


async def test_a_store_that_is_away_holds_and_then_rolls_back() -> None:
    """The sums cannot be read, the journal can be written: the way out is open."""
    async with shop() as one:
        one.stand.store.is_away = True
        run = await one.stand.tick(BAD_TICKS)
        assert run.phase is Phase.HELD
        assert one.verdict().reason is Reason.NO_STORE
        assert run.held is not None
        assert "the store that holds its sums is away" in run.held.sentence
        assert (await one.stand.tick(20)).phase is Phase.ROLLED_BACK


async def test_a_journal_that_is_away_neither_advances_nor_forgets() -> None:
    """What was learned meanwhile leads on when it is back, by one entry."""
    async with shop() as one:
        journal_of(one.stand).is_away = True
        await one.fine(GOOD_TICKS)
        assert one.stand.run().stage_name == "canary"
        journal_of(one.stand).is_away = False
        assert (await one.fine(2)).stage_name == "half"
        assert (await one.stand.actions()).count("advance") == 1


@pytest.mark.parametrize("by_ms", [86_400_000, -86_400_000, 30_000, -30_000])
async def test_a_clock_that_is_set_advances_nothing_and_loses_nothing(by_ms: int) -> None:
    """Not at the jump, nor by it: windows go by the monotonic clock, soak by clamped ticks."""
    async with shop(*documents({"name": "canary", "share": "20%", "soak": "20s"}, STAGES[1], pipeline=PIPELINE)) as one:
        before = one.seen()
        one.stand.clock.step(by_ms)
        run = await one.fine(10)
        assert (run.phase, run.stage_name) == (Phase.RUNNING, "canary")
        assert one.seen() >= before + 900
        assert (await one.fine(20)).stage_name == "half"


async def test_of_two_controllers_the_older_one_writes_nothing() -> None:
    """Neither an entry nor evidence: its fence is behind."""
    async with shop() as one:
        older, journal = one.stand.runs, journal_of(one.stand)
        older_fence = one.stand.fence
        one.stand.fence = journal.newest_fence = 2
        newer = one.stand.controller()
        await one.fine(3)
        kept, revision = await one.stand.store.checkpoint(RUN), one.stand.environment.position.revision
        one.stand.fence = older_fence
        for _ in range(GOOD_TICKS):
            await one.send(one.window((100, 90), (400, 40)))
            one.stand.clock.advance(TICK_MS)
            await older.tick()
        assert await one.stand.store.checkpoint(RUN) == kept
        assert one.stand.environment.position.revision == revision
        one.stand.fence = 2
        await newer.tick()
        assert one.stand.run().phase is Phase.ROLLED_BACK


async def test_a_metric_that_a_guardrail_needs_is_not_deleted() -> None:
    """`apply --prune` refuses it; one that is gone all the same is blind, by its own reason."""
    async with shop() as one:
        rest = tuple(given()[1:])
        with pytest.raises(InvalidInput):
            await apply(one.stand.environment, Apply(rest, prune=True), MIA, one.stand.instances)
        await delete(one.stand.environment, ResourceId(Kind.METRIC, "errors"))
        await one.fine(BAD_TICKS)
        run, verdict = one.stand.run(), one.verdict()
        assert (run.phase, run.stage_name) == (Phase.HELD, "canary")
        assert verdict.reason is Reason.NO_METRIC
        assert "the environment has no such metric any more" in verdict.sentence
        await put(one.stand.environment, ERRORS)
        assert (await one.fine(GOOD_TICKS)).stage_name == "half"


async def test_a_metric_that_is_edited_begins_its_evidence_anew() -> None:
    """Evidence for one meaning is none for another; the windows that were judged stay judged."""
    async with shop() as one:
        await one.fine(10)
        before, judged = one.seen(), one.stand.runs.memories[RUN].evidence.judged["errors"]
        edited = document("Metric", "errors", {"measures": "proportion", "per": "unit", "bad": "high", "late": "1s"})
        await apply(one.stand.environment, Apply((edited,)), MIA, one.stand.instances)
        await one.fine()
        assert one.seen() < before
        assert one.stand.runs.memories[RUN].evidence.judged["errors"] >= judged
        assert one.stand.run().stage_name == "canary"
        assert (await one.fine(GOOD_TICKS)).stage_name == "half"


def scraped(stand: Room, count: int, **failing: int) -> None:
    """Prometheus scrapes counters of a shop that served so many requests in each arm."""
    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for arm, failed in failing.items():
        counts["requests_total", (("arm", arm),)] = float(count)
        counts["errors_total", (("arm", arm),)] = float(failed * count // 100)
    stand.metrics.scrape(stand.clock.now_ms() - 200, "shop", counts)


async def test_a_counter_that_begins_again_costs_its_window() -> None:
    """A process of the shop was started anew: that window is left out and says so, the next one counts."""
    async with room(*given(COUNTERS)) as stand:
        await stand.start()
        reasons = set()
        for second in range(40):
            count = second * 100 if second < 10 else (second - 10) * 100
            scraped(stand, count, candidate=2, control=2)
            await stand.tick()
            verdict = dict(stand.runs.memories[RUN].verdicts)["errors"]
            reasons.add(verdict.reason)
            if verdict.reason is Reason.COUNTER_RESET:
                assert "a counter fell, so this window cannot be counted" in verdict.sentence
                assert stand.run().phase is Phase.HELD
        assert Reason.COUNTER_RESET in reasons
        assert (stand.run().phase, stand.run().stage_name) == (Phase.RUNNING, "canary")


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (None, Reason.SLOW, "the metrics server did not answer in time"),
        (b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n", Reason.FAILING, "the metrics server answers with errors"),
        (b"HTTP/1.1 200 ok\r\ncontent-length: 2\r\n\r\n[]", Reason.UNREADABLE, "cannot be read"),
    ],
)
async def test_a_prometheus_that_hangs_or_fails_holds(answer: bytes | None, reason: Reason, says: str) -> None:
    """Through the real adapter: a tick is not late for it, the run is held, and it goes on when somebody looks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    within_ms = 50 if answer is None else 30_000
    url = f"http://127.0.0.1:{port}"
    async with server, room(*given(COUNTERS)) as stand, open_prometheus(url, "", within_ms) as source:
        await stand.start()
        stand.metrics = source
        stand.controller()
        run = await stand.tick(4)
        verdict = dict(stand.runs.memories[RUN].verdicts)["errors"]
        assert (run.phase, run.stage_name, verdict.reason) == (Phase.HELD, "canary", reason)
        assert run.held is not None
        assert says in run.held.sentence
