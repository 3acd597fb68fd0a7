"""Faults in what a tick does: in how it reads verdicts, counts time, and keeps to freezes and turns."""

from __future__ import annotations

from dataclasses import replace

from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    Event,
    Finish,
    Judged,
    Outcome,
    Phase,
    Promote,
    Refusal,
    Resume,
    Rollback,
    Run,
    Start,
    Tick,
    step,
)
from rollout_server.domain.rollouts import AfterHold, OnBlind
from tests.machine_worlds import ACTIONS, APPROVALS, BLINDNESS, PATIENCE, RAMPS
from tests.seeded_faults import (
    DEGRADED,
    EXIT,
    FROZEN,
    NEVER_BLIND,
    NO_SOAK_SKIPPED,
    SOAK_BOUND,
    SOAK_COUNTS,
    TOO_LONG,
    Faults,
    other,
    saying,
)

FAULTS = Faults()


@FAULTS.seed("a degraded verdict is ignored while frozen", DEGRADED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.is_frozen:
        event = saying(event, Standing.DEGRADED, Standing.UNDECIDED)
    return step(run, event)


@FAULTS.seed("watching ignores absolute limits", DEGRADED, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and run.phase is Phase.WATCHING:
        event = saying(event, Standing.DEGRADED, Standing.UNJUDGED, ("errors",))
    return step(run, event)


@FAULTS.seed("the first verdict of a guard hides its second", DEGRADED, ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        first = {one.guard: one for one in reversed(event.verdicts)}
        event = replace(event, verdicts=tuple(first.values()))
    return step(run, event)


@FAULTS.seed("the soak is skipped after a resume", NO_SOAK_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume) and after.stage:
        after = replace(after, progress=replace(after.progress, soak_ms=after.stage.soak_ms))
    return after, effects


@FAULTS.seed("the soak restarts after a resume", "no soak is lost while the stage stands", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume):
        after = replace(after, progress=replace(after.progress, soak_ms=0))
    return after, effects


@FAULTS.seed("a pause counts as soak", SOAK_BOUND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume) and not any(isinstance(effect, Refusal) for effect in effects):
        after = replace(after, progress=replace(after.progress, last_tick_ms=0))
    return after, effects


@FAULTS.seed("a freeze stops the soak", SOAK_COUNTS, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and event.is_frozen:
        after = replace(after, progress=replace(after.progress, soak_ms=run.progress.soak_ms))
    return after, effects


@FAULTS.seed("a jump of the clock counts in full", SOAK_BOUND, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, tick_ms=10**6) if isinstance(event, Tick) else step(run, event)


@FAULTS.seed("a clock that goes back adds soak", "time going backwards changes nothing", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.now_ms < 0:
        return other(run, event, now_ms=-event.now_ms)
    return step(run, event)


@FAULTS.seed("soak counts while the ramp is under way", SOAK_BOUND, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and event.now_ms > 0 and after.place == run.place == 1 and after.phase is Phase.RUNNING:
        after = replace(after, progress=replace(after.progress, soak_ms=min(40, run.progress.soak_ms + 10)))
    return after, effects


@FAULTS.seed("the watch after the last stage is skipped", NO_SOAK_SKIPPED, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and run.phase is Phase.WATCHING:
        run = replace(run, progress=replace(run.progress, soak_ms=run.pipeline.finish.watch_ms))
    return step(run, event)


@FAULTS.seed("a frozen tick grows", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, is_frozen=False) if isinstance(event, Tick) else step(run, event)


@FAULTS.seed("people grow through a freeze", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, is_frozen=False) if isinstance(event, Start | Promote) else step(run, event)


@FAULTS.seed("a run is finished through a freeze though that grows", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, is_frozen=False) if isinstance(event, Finish) else step(run, event)


@FAULTS.seed("rollback is refused while frozen", "rollback is always possible", PATIENCE)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Rollback) and run.is_frozen:
        return run, (Refusal("freeze", "frozen", "wait"),)
    return step(run, event)


@FAULTS.seed("a run grows out of its turn", "out of turn, nothing grows", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, may_grow=True) if isinstance(event, Tick) else step(run, event)


@FAULTS.seed("blind advances", NEVER_BLIND, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, saying(event, Standing.BLIND, Standing.HEALTHY) if isinstance(event, Tick) else event)


@FAULTS.seed("skewed advances", NEVER_BLIND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, saying(event, Standing.SKEWED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@FAULTS.seed("a guard without a verdict passes for healthy", NEVER_BLIND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        said = {one.guard for one in event.verdicts}
        silent = tuple(Judged(guard.name, Standing.HEALTHY) for guard in run.guards if guard.name not in said)
        event = replace(event, verdicts=(*event.verdicts, *silent))
    return step(run, event)


@FAULTS.seed("blindness starts anew at each tick", TOO_LONG, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    return step(replace(run, progress=replace(run.progress, blind_ms=0, blind_since_ms=None)), event)


@FAULTS.seed("blindness rolls back a tick early", TOO_LONG, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    shorter = replace(run.pipeline, on_blind=OnBlind(10, AfterHold.ROLLBACK))
    after, effects = step(replace(run, pipeline=shorter), event)
    return replace(after, pipeline=run.pipeline), effects


@FAULTS.seed("blindness rolls back though the pipeline says hold", TOO_LONG, PATIENCE)
def _(run: Run, event: Event) -> Outcome:
    eager = replace(run.pipeline, on_blind=OnBlind(0, AfterHold.ROLLBACK))
    after, effects = step(replace(run, pipeline=eager), event)
    return replace(after, pipeline=run.pipeline), effects


@FAULTS.seed("undecided passes for healthy", EXIT, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, saying(event, Standing.UNDECIDED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@FAULTS.seed("unjudged passes for healthy", EXIT, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, saying(event, Standing.UNJUDGED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@FAULTS.seed("nobody counts the exposed", EXIT, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, exposed_units=10**6) if isinstance(event, Tick) else step(run, event)


@FAULTS.seed("action hold does not hold", "a guard with action hold holds", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        event = saying(event, Standing.DEGRADED, Standing.UNDECIDED, ("conversion",))
    return step(run, event)


@FAULTS.seed("an outage of both arms does not hold", "a guard with action hold holds", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        event = replace(event, verdicts=tuple(replace(one, hold=False) for one in event.verdicts))
    return step(run, event)


@FAULTS.seed("a hold never ends", "what no longer holds lets go", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and run.phase is Phase.HELD and after.phase in {Phase.RUNNING, Phase.WATCHING}:
        return run, ()
    return after, effects


@FAULTS.seed("relative guards hold a run that has no control left", SOAK_COUNTS, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    absolute = tuple(replace(guard, is_absolute=True) for guard in run.guards)
    after, effects = step(replace(run, guards=absolute), event)
    return replace(after, guards=run.guards), effects
