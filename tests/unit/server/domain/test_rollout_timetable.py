"""When a run gets where, if all goes well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import PPM, InCohort
from rollout_server.domain.calendar import Line, parse_moment_ms
from rollout_server.domain.guardrails.spec import Guardrail, RelativeLimit
from rollout_server.domain.machine import Pause, Phase, Run, Start, step
from rollout_server.domain.rollout_timetable import HORIZON_MS, Course, timetable
from rollout_server.domain.rollouts import Approval, Exit, Finish, FreezeSpec, PipelineSpec, Stage
from tests.random_rollouts import approved, ideal_tick, new_run

TICK_MS = 5_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NOW_MS = parse_moment_ms("2026-11-20T03:00:00Z") or 0
WEEKEND = FreezeSpec("FRI 16:00", "MON 08:00", "Asia/Seoul", stagger_ms=15 * MINUTE_MS)
CAREFUL = PipelineSpec(
    stages=(
        Stage("staff", PPM, InCohort("staff"), soak_ms=30 * MINUTE_MS),
        Stage("canary", 10_000, soak_ms=HOUR_MS, exit=Exit(exposed=200, is_healthy=True)),
        Stage("half", 500_000, ramp_ms=2 * HOUR_MS, soak_ms=HOUR_MS, exit=Exit(approval=Approval("managers", 2))),
    ),
    guardrails=(Guardrail("errors", RelativeLimit(200_000)),),
    finish=Finish(watch_ms=24 * HOUR_MS),
)


def course(**other: object) -> Course:
    return replace(Course(NOW_MS, TICK_MS), **other)  # type: ignore[arg-type]


def told(run: Run, where: Course) -> list[tuple[str, str]]:
    """First arrival at each stage, after how long."""
    found: dict[str, str] = {}
    for one in timetable(run, where).arrivals:
        found.setdefault(one.run.stage_name, f"{(one.at_ms - NOW_MS) / MINUTE_MS:g}m")
    return list(found.items())


def test_soaks_and_ramps_add_up() -> None:
    """A stage is entered at the first tick at which its predecessor has soaked; the first tick of a run counts from."""
    assert told(new_run(CAREFUL), course()) == [
        ("staff", "0m"),
        ("canary", f"{30 + 5 / 60:g}m"),
        ("half", f"{90 + 5 / 60:g}m"),
        ("finish", f"{270 + 5 / 60:g}m"),
    ]
    found = timetable(new_run(CAREFUL), course())
    assert found.completed_ms == found.arrivals[-1].at_ms + 24 * HOUR_MS
    assert [one.share_ppm for one in found.arrivals if one.place == 2] == [
        10_000 + 490_000 * at // 20 for at in range(1, 21)
    ]


def test_a_schedule_is_waited_for() -> None:
    """Before its moment a run does not start, and says so; a moment that has passed changes nothing."""
    later = course(start="2026-11-20T06:00:00.001Z")
    first = timetable(new_run(CAREFUL), later).arrivals[0]
    assert (first.at_ms, first.waited_for) == (NOW_MS + 3 * HOUR_MS + TICK_MS, ("schedule",))
    passed = course(start="2026-11-20T02:00:00Z")
    assert told(new_run(CAREFUL), passed) == told(new_run(CAREFUL), course())
    assert timetable(new_run(CAREFUL), course(start="soon")).arrivals == ()


def test_a_start_that_a_freeze_held_waits_for_its_turn() -> None:
    """Behind whoever was under way at the thaw, and behind a start that was due earlier; by hand nobody waits."""
    thaw_ms = parse_moment_ms("2026-11-23T08:00:00+09:00")
    now_ms = parse_moment_ms("2026-11-22T12:00:00Z")
    assert thaw_ms is not None
    assert now_ms is not None
    line = (Line("older", NOW_MS, None), Line("earlier", now_ms - HOUR_MS, None))
    held = course(now_ms=now_ms, freezes=(WEEKEND,), line=line, start="2026-11-22T12:00:00Z")
    first = timetable(new_run(CAREFUL), held).arrivals[0]
    late_ms = first.at_ms - thaw_ms - 2 * 15 * MINUTE_MS
    assert 0 <= late_ms < TICK_MS
    assert first.waited_for == ("thaw", "turn")
    by_hand = timetable(new_run(CAREFUL), replace(held, start="")).arrivals[0]
    assert by_hand.waited_for == ("thaw",)


def test_a_freeze_moves_what_would_grow_in_it() -> None:
    """Soak goes on while frozen; the next stage waits for the thaw, and says so."""
    arrivals = {one.run.stage_name: one for one in timetable(new_run(CAREFUL), course(freezes=(WEEKEND,))).arrivals}
    thaw_ms = parse_moment_ms("2026-11-23T08:00:00+09:00")
    assert arrivals["canary"].waited_for == ()
    assert arrivals["half"].waited_for == ()
    assert arrivals["finish"].waited_for == ("thaw",) or arrivals["finish"].at_ms > (thaw_ms or 0)
    frozen = course(freezes=(WEEKEND,), now_ms=NOW_MS + 5 * HOUR_MS)
    first = timetable(new_run(CAREFUL), frozen).arrivals[0]
    assert (first.at_ms, first.waited_for) == (thaw_ms, ("thaw",))


def test_turns_come_after_a_thaw() -> None:
    """Who stood longer in line goes first, and this run a stagger later for each."""
    line = (Line("older", NOW_MS - HOUR_MS), Line("younger", NOW_MS + HOUR_MS))
    run = new_run(replace(CAREFUL, stages=(replace(CAREFUL.stages[0], soak_ms=5 * HOUR_MS), *CAREFUL.stages[1:])))
    second = timetable(run, course(freezes=(WEEKEND,), line=line)).arrivals[1]
    assert second.waited_for == ("thaw", "turn")
    assert second.at_ms == (parse_moment_ms("2026-11-23T08:15:00+09:00") or 0)


def test_other_peoples_freezes_do_not_matter() -> None:
    """A freeze of other tags moves nothing."""
    others = course(freezes=(replace(WEEKEND, tags=("api",)),), tags=("web",))
    assert timetable(new_run(CAREFUL), others) == timetable(new_run(CAREFUL), course())


def test_a_freeze_that_never_thaws_is_told() -> None:
    """What does not come within the horizon does not come; and it is found quickly."""
    always = FreezeSpec("2026-11-20T03:10:00Z", "2099-01-01T00:00:00Z")
    found = timetable(new_run(CAREFUL), course(freezes=(always,)))
    assert [one.run.stage_name for one in found.arrivals] == ["staff"]
    assert found.completed_ms is None
    weeks = (FreezeSpec("MON 00:00", "FRI 00:00", "UTC"), FreezeSpec("THU 23:00", "MON 01:00", "UTC"))
    assert timetable(new_run(CAREFUL), course(freezes=weeks)).arrivals == ()
    assert timetable(new_run(CAREFUL), course(start="2099-01-01T00:00:00Z")).arrivals[0].at_ms > NOW_MS + HORIZON_MS


@pytest.mark.parametrize("after_ms", [TICK_MS, 7_001, 2 * HOUR_MS])
def test_a_run_under_way_is_planned_from_where_it_stands(after_ms: int) -> None:
    """What it soaked already counts, whenever its last tick was; approvals that were given are not asked for again."""
    run, _ = step(new_run(CAREFUL), Start("ann", NOW_MS))
    run, _ = step(run, ideal_tick(run, course(), NOW_MS + TICK_MS))
    where = course(now_ms=NOW_MS + TICK_MS + after_ms)
    second = timetable(run, where).arrivals[1]
    lost_ms = max(0, after_ms + TICK_MS - 3 * TICK_MS)  # a clock that jumped adds three ticks at most
    at_ms = NOW_MS + TICK_MS + 30 * MINUTE_MS + lost_ms
    assert second.at_ms - TICK_MS < at_ms <= second.at_ms


def test_a_paused_run_is_planned_as_if_it_were_resumed() -> None:
    """The plan of a paused run counts from now."""
    run, _ = step(new_run(CAREFUL), Start("ann", NOW_MS))
    run, _ = step(run, Pause("ann", NOW_MS))
    assert told(run, course()) == told(new_run(CAREFUL), course())


def test_a_run_that_waits_for_people_goes_on_at_once() -> None:
    """Approvals are taken as given."""
    spec = PipelineSpec(stages=(Stage("one", 1, exit=Exit(approval=Approval("managers", 2))), Stage("two", 2)))
    run, _ = step(new_run(spec), Start("ann", NOW_MS))
    for at in (1, 2):
        run, _ = step(run, ideal_tick(run, course(), NOW_MS + at * TICK_MS))
    assert run.phase is Phase.AWAITING_APPROVAL
    late = course(now_ms=NOW_MS + HOUR_MS)
    assert [one.at_ms - late.now_ms for one in timetable(run, late).arrivals] == [0, TICK_MS, 2 * TICK_MS]
    assert approved(run, 0).phase is Phase.RUNNING
