"""Bad data, row by row of the table in docs/guardrails.md, over the real controller: no advance, always a reason."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from rollout_sdk.engine.model import Arm
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.verdict import Reason, Standing
from rollout_server.domain.machine import Phase
from rollout_server.domain.machine.run import Trigger
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, WindowReport
from tests.reporting_shop import BAD_TICKS, FINE, GOOD_TICKS, PIPELINE, RUN, STAGES, Shop, given, shop
from tests.rollout_room import TICK_MS, documents

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
