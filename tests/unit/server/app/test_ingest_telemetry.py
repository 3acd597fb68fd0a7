"""Taking reports: each window where it belongs, and nothing that nobody can use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import Ruleset
from rollout_server.app.ingest_telemetry import AGE_MAX_MS, REPORTS_PER_S, IngestTelemetry, pace
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.telemetry import (
    RECOMPUTED,
    ArmReport,
    Outcome,
    Report,
    RunCheckpoint,
    RunId,
    WindowReport,
)
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.telemetry_world import RUN, cell, launch_ruleset, launch_state, place

NOW = START_MS // 10_000
FOREVER = 1 << 50


class Stand:
    def __init__(self, ruleset: Ruleset | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryTelemetry()
        self.present = ruleset or launch_ruleset()
        self.ingest = IngestTelemetry(
            self.store, WindowClock(self.clock, 10_000, -1), lambda: self.present, lambda: 5_000
        )
        self.sequence = 0

    async def report(self, *arms: ArmReport, age_ms: int = 0, **more: Any) -> int:
        self.sequence += 1
        window = WindowReport(age_ms, arms, **more)
        return await self.ingest.take("t", Report("i", self.sequence, (window,)))

    async def windows(self, metric: str = "errors") -> list[int]:
        return [each.window for each in await self.store.sums(RUN, metric, -1, FOREVER)]

    async def losses(self) -> dict[str, int]:
        return dict((await self.store.ledger()).losses)


def errors(n: int = 1, **more: Any) -> ArmReport:
    return ArmReport(place(**more), events=(("errors", cell(n)),))


async def test_a_window_is_receipt_less_age() -> None:
    """By this server's clock and the sender's monotonic one; whatever the sender takes for the time."""
    stand = Stand()
    await stand.report(errors())
    await stand.report(errors(), age_ms=10_000)
    await stand.report(errors(), age_ms=60_000)
    assert await stand.windows() == [NOW - 6, NOW - 1, NOW]


async def test_steps_of_the_wall_clock_move_no_window() -> None:
    """An hour back and forth."""
    stand = Stand()
    stand.clock.step(3_600_000)
    await stand.report(errors())
    stand.clock.step(-7_200_000)
    await stand.report(errors())
    assert await stand.windows() == [NOW]


async def test_a_repeat_changes_nothing_and_says_nothing() -> None:
    """Its answer was lost, that is all."""
    stand = Stand()
    report = Report("i", 1, (WindowReport(0, (errors(), errors(run=RunId("odd", 1)))),), losses=(("no_room", 2),))
    assert await stand.ingest.take("t", report) == 1
    assert await stand.ingest.take("t", report) == 0
    assert await stand.losses() == {"unknown_run": 1, "no_room": 2}


async def test_one_token_s_process_cannot_report_for_another_s() -> None:
    """The same instance id under another token is another instance."""
    stand = Stand()
    report = Report("i", 1, (WindowReport(0, (errors(),)),))
    await stand.ingest.take("t", report)
    await stand.ingest.take("u", report)
    (sums,) = await stand.store.sums(RUN, "errors", -1, FOREVER)
    assert sums.candidate.n == 2
    assert set(await stand.store.heard(0)) == {"t/i", "u/i"}


async def test_unknown_runs_are_left_out() -> None:
    """Of rollouts, numbers and allocations that there are not; older allocations of the run are kept."""
    stand = Stand(launch_ruleset(launch_state(allocation=3)))
    unknown = [
        errors(run=RunId("other", 1)),
        errors(run=RunId("launch", 2)),
        errors(run=RunId("launch", 0)),
        errors(allocation=4),
    ]
    assert await stand.report(*unknown) == 4
    assert await stand.losses() == {"unknown_run": 4}
    assert await stand.report(errors(allocation=3), errors(allocation=1)) == 0
    assert await stand.windows() == [NOW, NOW]


@pytest.mark.parametrize(
    ("arm", "reason"),
    [
        (ArmReport(place(), events=(("nothing", cell()),)), "unknown_metric"),
        (ArmReport(place(), events=(("orders", cell()),)), "unknown_metric"),
        (ArmReport(place(), outcomes=(("errors", (Outcome(1, 1.0),)),)), "unknown_metric"),
        (ArmReport(place(), outcomes=(("orders", (Outcome(1, 0.5),)),)), "impossible"),
        (ArmReport(place(), events=(("errors", replace(cell(2), x=3.0)),)), "impossible"),
        (ArmReport(place(), events=(("errors", Cell(0, 1.0, 1.0)),)), "impossible"),
    ],
)
async def test_what_no_metric_can_be_is_left_out(arm: ArmReport, reason: str) -> None:
    """Per unit where it is per event, or more failures than attempts."""
    stand = Stand()
    assert await stand.report(arm) == 1
    assert await stand.losses() == {reason: 1}


async def test_what_is_too_old_is_left_out() -> None:
    """No repeat of it could be told any more."""
    stand = Stand()
    assert await stand.report(errors(), age_ms=AGE_MAX_MS + 1) == 1
    assert await stand.windows() == []


async def test_the_two_kinds_of_sums_never_mix() -> None:
    """Recomputed arms have strata of their own; exposures are what they are."""
    stand = Stand()
    both = [replace(errors(stratum="c=KR"), recomputed=recomputed, exposed=(1,)) for recomputed in (False, True)]
    await stand.report(*both, replace(errors(), recomputed=True))
    strata = {each.stratum for each in await stand.store.sums(RUN, "errors", -1, FOREVER)}
    assert strata == {"c=KR", f"c=KR {RECOMPUTED}", RECOMPUTED}
    assert [each.stratum for each in await stand.store.exposures(RUN, -1, FOREVER)] == ["c=KR"]


async def test_bounds_and_unattributed_of_unknown_things_are_left_out() -> None:
    """Labels are bounded by what is in the ruleset."""
    stand = Stand()
    await stand.report(
        ArmReport(place(), exposed=(1, 1 << 63)),
        bounds=((RUN, "", 1 << 63), (RUN, "odd", 1), (RunId("odd", 1), "", 1)),
        unattributed=(("errors", 2), ("odd", 9)),
    )
    (found,) = await stand.store.exposures(RUN, -1, FOREVER)
    assert (found.candidate.exposed, found.kept_ppm) == (1, 500_000)
    assert (await stand.store.ledger()).unattributed == {"errors": 2}


async def test_a_store_that_is_away_acknowledges_nothing() -> None:
    """The process sends it again, and then it counts."""
    stand = Stand()
    report = Report("i", 1, (WindowReport(0, (errors(),)),))
    stand.store.is_away = True
    with pytest.raises(Unavailable):
        await stand.ingest.take("t", report)
    stand.store.is_away = False
    await stand.ingest.take("t", report)
    assert await stand.windows() == [NOW]


async def test_what_is_taken_and_what_is_not_is_counted() -> None:
    """For whoever watches the server."""
    stand = Stand()
    await stand.store.keep(RunCheckpoint(RUN, 1, {"errors": NOW}, b""))
    await stand.report(errors(), errors(run=RunId("odd", 1)), unattributed=(("errors", 3),))
    await stand.ingest.take("t", Report("i", 1))
    assert (stand.ingest.reports, stand.ingest.unattributed) == (1, 3)
    assert stand.ingest.losses == {"unknown_run": 1, "late": 1}


def test_the_watermark_waits_for_late_outcomes_and_two_reports_and_for_nobody() -> None:
    """A window is over when everything of it has had its time to come."""
    stand = Stand()
    assert stand.ingest.watermark(0) == NOW - 2
    stand.clock.advance(60_000)
    assert stand.ingest.watermark(0) == NOW + 4
    assert stand.ingest.watermark(60_000) == NOW - 2


@pytest.mark.parametrize(("processes", "every_ms"), [(0, 5_000), (500, 5_000), (4_000, 40_000), (99_999, 60_000)])
def test_a_large_fleet_reports_less_often(processes: int, every_ms: int) -> None:
    """Together they stay below what one server takes while it looks after streams."""
    assert pace(5_000, processes) == every_ms
    if every_ms < 60_000:
        assert processes * 1_000 / every_ms <= REPORTS_PER_S
