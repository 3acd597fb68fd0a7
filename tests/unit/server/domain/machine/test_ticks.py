"""What one tick does, in its order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine.events import ClosureEdited, Judged, Tick
from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import Guard, HeldKind, Need, NoticeKind, Phase, Progress, Run
from rollout_server.domain.machine.ticks import closure_edited, completed, exposing, going, over
from rollout_server.domain.rollouts import AfterHold, Escalation, Finish, OnBlind, PipelineSpec, Stage
from tests.machine_worlds import scheduled

MINUTE_MS = 60_000
PIPELINE = PipelineSpec(
    (Stage("canary", 10_000, soak_ms=60 * MINUTE_MS), Stage("full", 500_000)),
    finish=Finish(watch_ms=60 * MINUTE_MS),
    on_blind=OnBlind(5 * MINUTE_MS, AfterHold.ROLLBACK),
    escalation=(Escalation(0, "team"), Escalation(3 * MINUTE_MS, "pager")),
)
RUN = replace(
    enter(scheduled(PIPELINE), 0, 0),
    guards=(Guard("latency", Action.ROLLBACK), Guard("orders", Action.HOLD), Guard("chatter", Action.NOTIFY)),
    progress=Progress(last_tick_ms=0),
)


def tick(minutes: float = 1, *, closure: tuple[tuple[str, str], ...] | None = None, **standings: Standing) -> Tick:
    names = [guard.name for guard in RUN.guards]
    verdicts = tuple(Judged(name, standings.get(name, Standing.HEALTHY)) for name in names)
    return Tick(int(minutes * MINUTE_MS), MINUTE_MS, verdicts, closure=closure)


@pytest.mark.parametrize(("minutes", "soaked"), [(1, 1), (0.5, 0.5), (3, 3), (3.5, 3), (1_440, 3), (0, 0), (-60, 0)])
def test_soak_is_a_sum_of_clamped_ticks(minutes: float, soaked: float) -> None:
    """Neither an outage nor a clock that jumps either way counts for more than three ticks, or for less than none."""
    after, _ = exposing(RUN, tick(minutes))
    assert after.progress.soak_ms == soaked * MINUTE_MS
    assert after.progress.last_tick_ms == minutes * MINUTE_MS


def test_the_first_tick_after_a_verb_adds_nothing() -> None:
    """Part of the time before it was not the stage's."""
    fresh = replace(RUN, progress=Progress())
    assert exposing(fresh, tick(30))[0].progress.soak_ms == 0


def test_guards_come_before_everything() -> None:
    """A broken guard ends the run though the tick is blind, edited and from the past."""
    event = tick(-5, closure=(("cohort/staff", "9"),), latency=Standing.DEGRADED, orders=Standing.BLIND)
    assert exposing(replace(RUN, phase=Phase.PAUSED), event)[0].phase is Phase.ROLLED_BACK


def test_a_hold_and_its_end() -> None:
    """Held while a guard asks for it, its reason kept as it was first said; then on, and the hold is no soak."""
    held, effects = exposing(RUN, tick(1, orders=Standing.DEGRADED))
    assert held.held is not None
    assert (held.phase, held.held.kind, len(effects)) == (Phase.HELD, HeldKind.DEGRADED, 1)
    held, effects = exposing(held, tick(2, orders=Standing.DEGRADED))
    assert effects == ()
    again, _ = exposing(held, tick(3))
    assert (again.phase, again.held, again.need, again.progress.soak_ms) == (Phase.RUNNING, None, None, 0)
    assert exposing(again, tick(4))[0].progress.soak_ms == MINUTE_MS


def test_another_reason_is_news_but_nobody_waits_longer_for_it() -> None:
    """Reasons that take turns do not keep the pager silent; to whoever acknowledged, a new one is new."""
    run, _ = exposing(RUN, tick(1, orders=Standing.BLIND))
    run, told = exposing(run, tick(2, orders=Standing.SKEWED))
    assert len(told) == 1
    run, _ = exposing(run, tick(3, orders=Standing.BLIND))
    run, told = exposing(run, tick(4, orders=Standing.SKEWED))
    assert len(told) == 2
    assert run.need is not None
    acknowledged = replace(run, need=replace(run.need, acknowledged_by="ann"))
    news, _ = exposing(acknowledged, tick(4.5, orders=Standing.BLIND))
    assert news.need is not None
    assert news.need.acknowledged_by == ""


def test_blindness_is_measured_in_ticks() -> None:
    """A server that was away for an hour has not been blind for an hour."""
    run, _ = exposing(RUN, tick(1, latency=Standing.BLIND))
    run, _ = exposing(run, tick(61, latency=Standing.BLIND))
    assert (run.phase, run.progress.blind_ms, run.progress.blind_since_ms) == (Phase.HELD, 3 * MINUTE_MS, MINUTE_MS)
    assert exposing(run, tick(63, latency=Standing.BLIND))[0].phase is Phase.ROLLED_BACK
    seen, _ = exposing(run, tick(63))
    assert (seen.progress.blind_ms, seen.progress.blind_since_ms) == (0, None)


def test_blindness_while_paused_counts_too() -> None:
    """Exposure that nobody sees is the danger, whoever stopped the run."""
    run: Run = replace(RUN, phase=Phase.PAUSED)
    for minute in range(1, 7):
        run, _ = exposing(run, tick(minute, latency=Standing.BLIND))
    assert run.phase is Phase.ROLLED_BACK


def test_an_alarm_that_only_notifies_is_told_once_a_stage() -> None:
    """And the run goes on."""
    run, told = exposing(RUN, tick(1, chatter=Standing.DEGRADED))
    assert (run.phase, run.alarmed, len(told)) == (Phase.RUNNING, ("chatter",), 1)
    assert exposing(run, tick(2, chatter=Standing.DEGRADED))[1] == ()


def test_an_edit_opens_an_allocation_once() -> None:
    """Seen in its own entry or at the next tick, it counts once; before the first exposure there is none to open."""
    marks = (("cohort/staff", "9"),)
    edited, _ = closure_edited(RUN, ClosureEdited("ann", 0, marks))
    assert edited.allocation == RUN.allocation + 1
    assert exposing(edited, tick(1, closure=marks))[0].allocation == edited.allocation
    assert exposing(RUN, tick(1, closure=marks))[0].allocation == edited.allocation
    assert closure_edited(scheduled(PIPELINE), ClosureEdited("ann", 0, marks))[0].allocation == 0


def test_runs_that_are_over_still_tell() -> None:
    """The pager is called for a rollback too; and a completed run is guarded as long as its rule stands."""
    need = Need(NoticeKind.ROLLED_BACK, "it was rolled back", told=1)
    run = replace(RUN, phase=Phase.ROLLED_BACK, need=need)
    assert over(run, tick(2))[1] == ()
    assert len(over(run, tick(3))[1]) == 1
    done = replace(RUN, phase=Phase.COMPLETED)
    assert completed(done, tick(1, latency=Standing.DEGRADED))[0].phase is Phase.ROLLED_BACK
    finished = replace(done, is_finished=True)
    assert completed(finished, tick(1, latency=Standing.DEGRADED))[0].phase is Phase.COMPLETED


def test_where_a_run_goes_on() -> None:
    """Running in a stage, watching after the last."""
    assert going(RUN) is Phase.RUNNING
    assert going(enter(RUN, 2, 0)) is Phase.WATCHING
