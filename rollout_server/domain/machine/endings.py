"""Making everyone safe: by hand, by a verdict, by blindness, by a kill. Nothing here is ever refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.domain.machine.effects import FlagOff, WriteFinalVariant
from rollout_server.domain.machine.growth import named
from rollout_server.domain.machine.notices import call_person, tell
from rollout_server.domain.machine.run import ENDED, End, NoticeKind, Phase, Run, Trigger

if TYPE_CHECKING:
    from rollout_server.domain.machine.effects import Effect, Outcome
    from rollout_server.domain.machine.events import Judged, Kill, Rollback, Tick


def rollback(run: Run, event: Rollback) -> Outcome:
    """Roll back because a person says so; over a finished run, the variant in the flag too."""
    run, undone = _roll_back(run, Trigger.PERSON, event.by, event.reason, event.at_ms)
    because = f": {event.reason}" if event.reason else ""
    run, told = tell(run, NoticeKind.ROLLED_BACK, f"{event.by} rolled back {_where(run)}{because}")
    return run, (*undone, *told)


def kill(run: Run, event: Kill) -> Outcome:
    """Put the flag off, and end the run with it. Of a finished run nothing is left to end."""
    off: tuple[Effect, ...] = (FlagOff(run.flag),)
    sentence = f"{event.by} killed {run.flag}" + (f": {event.reason}" if event.reason else "")
    if run.phase not in ENDED or (run.phase is Phase.COMPLETED and not run.is_finished):
        run, _ = _roll_back(run, Trigger.KILL, event.by, event.reason, event.at_ms)
        sentence = f"{sentence}; {_where(run)} ended with it"
    run, told = tell(run, NoticeKind.KILLED, sentence)
    return run, (*off, *told)


def by_verdict(run: Run, tick: Tick, verdict: Judged) -> Outcome:
    """Roll back because a guard is degraded."""
    why = verdict.sentence or f"{verdict.guard} is degraded"
    return _by_engine(run, Trigger.VERDICT, why, tick.now_ms, verdict.guard)


def by_blindness(run: Run, tick: Tick, why: str) -> Outcome:
    """Roll back because nothing was seen for longer than the pipeline allows."""
    return _by_engine(run, Trigger.BLIND, why, tick.now_ms, "")


def _by_engine(run: Run, trigger: Trigger, why: str, at_ms: int, guard: str) -> Outcome:
    run, undone = _roll_back(run, trigger, "engine", why, at_ms, guard)
    run, told = call_person(run, NoticeKind.ROLLED_BACK, f"{_where(run)} was rolled back: {why}")
    return run, (*undone, *told)


def _roll_back(run: Run, trigger: Trigger, who: str, why: str, at_ms: int, guard: str = "") -> Outcome:
    undone = (WriteFinalVariant(run.flag, run.from_variant),) if run.is_finished else ()
    end = End(trigger, who, why, at_ms, run.stage_name, guard)
    after = replace(
        run,
        phase=Phase.ROLLED_BACK,
        end=end,
        held=None,
        need=None,
        paused=None,
        progress=replace(run.progress, waited_ms=0, blind_since_ms=None, blind_ms=0, waits_for=()),
    )
    return after, undone


def _where(run: Run) -> str:
    stage = run.end.stage if run.end else run.stage_name
    return f"{named(run)} at {stage}" if stage else named(run)
