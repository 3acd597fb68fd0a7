"""Faults that were seeded into the machine, each with the law that must catch it. All stand on the real table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rollout_sdk.engine.model import PPM
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    FINISH,
    TABLE,
    Acknowledge,
    Approve,
    Cancel,
    ClosureEdited,
    Event,
    Finish,
    FlagOff,
    Judged,
    Kill,
    Outcome,
    Pause,
    Phase,
    Progress,
    Promote,
    Refusal,
    Reject,
    Resume,
    Rollback,
    Run,
    SetReaches,
    Start,
    Tick,
    WriteFinalVariant,
    step,
)
from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import Approved, Entered
from rollout_server.domain.machine.table import Cell, follow
from rollout_server.domain.rollouts import AfterHold, OnBlind
from tests.machine_exploration import REAL, RESTART, TOTAL, Machine
from tests.machine_worlds import ACTIONS, APPROVALS, BLINDNESS, PATIENCE, RAMPS, World

Step = Callable[[Run, Event], Outcome]
DEGRADED = "degraded rolls back from every phase that exposes anyone"
NO_SOAK_SKIPPED = "no soak is skipped"
SOAK_COUNTS = "soak and evidence go on: each running, unblind tick at full share counts, frozen or not"
SOAK_BOUND = "no more soak than time passed running"
NO_APPROVAL_SKIPPED = "no approval is skipped"
NEVER_BLIND = "blind or skewed never advances"
ORDER = "no stage runs twice or is skipped unless a person said so"
FROZEN = "frozen, nothing grows"
CONTROL = "no share beyond what the pipeline says, and the control stands until the finish"
TOO_LONG = "blind too long leads to what the pipeline says, and not before"
EXIT = "a stage is left only when its exit is met"
ALLOCATION = "reach stands still within an allocation"


@dataclass(frozen=True)
class Fault:
    """One thing done wrong.

    Attributes:
        law: that breaks first or later; the exploration must name it.
    """

    name: str
    law: str
    world: World
    machine: Machine


FAULTS: list[Fault] = []


def fault(name: str, law: str, world: World) -> Callable[[Step], Step]:
    """Name a faulty step."""

    def add(faulty: Step) -> Step:
        FAULTS.append(Fault(name, law, world, Machine(step=faulty)))
        return faulty

    return add


def _cells(changed: Mapping[tuple[Phase, type[Event]], Cell]) -> Step:
    table = {**TABLE, **changed}
    return lambda run, event: follow(table, run, event)


def _other(run: Run, event: Event, **fields: object) -> Outcome:
    return step(run, replace(event, **fields))  # type: ignore[arg-type]  # fields of that event


def _saying(tick: Tick, was: Standing, now: Standing, guards: tuple[str, ...] = ()) -> Tick:
    verdicts = tuple(
        replace(one, standing=now) if one.standing is was and (not guards or one.guard in guards) else one
        for one in tick.verdicts
    )
    return replace(tick, verdicts=verdicts)


def _idle(run: Run, tick: Tick) -> Outcome:
    return replace(run, progress=replace(run.progress, last_tick_ms=tick.now_ms)), ()


def _in_table(name: str, law: str, world: World, changed: Mapping[tuple[Phase, type[Event]], Cell]) -> None:
    FAULTS.append(Fault(name, law, world, Machine(step=_cells(changed))))


_in_table(
    "guardrails are not watched while approval is awaited",
    DEGRADED,
    APPROVALS,
    {(Phase.AWAITING_APPROVAL, Tick): Cell(_idle, {})},
)
_in_table("guardrails are not watched while paused", DEGRADED, APPROVALS, {(Phase.PAUSED, Tick): Cell(_idle, {})})
_in_table("guardrails are not watched while held", DEGRADED, ACTIONS, {(Phase.HELD, Tick): Cell(_idle, {})})
_in_table("nothing is watched after the last stage", DEGRADED, ACTIONS, {(Phase.WATCHING, Tick): Cell(_idle, {})})
_in_table(
    "rollback is refused while paused",
    "rollback is always possible",
    APPROVALS,
    {(Phase.PAUSED, Rollback): TABLE[Phase.PAUSED, Start]},
)
_in_table(
    "a kill leaves its run running",
    "kill ends its run in the same step",
    APPROVALS,
    {(Phase.RUNNING, Kill): Cell(lambda run, _event: (run, (FlagOff(run.flag),)), {})},
)
_in_table(
    "cancel works while somebody is exposed",
    "cancel only before the first exposure",
    APPROVALS,
    {(Phase.RUNNING, Cancel): TABLE[Phase.SCHEDULED, Cancel]},
)
_in_table(
    "pause does nothing while held",
    "pause keeps who is exposed",
    ACTIONS,
    {(Phase.HELD, Pause): Cell(lambda run, _event: (run, ()), {})},
)
_in_table(
    "a hold cannot be paused",
    "pausing is possible wherever a run goes on",
    ACTIONS,
    {(Phase.HELD, Pause): TABLE[Phase.SCHEDULED, Pause]},
)
_in_table(
    "a rolled back run starts again",
    "an ended run stays ended",
    APPROVALS,
    {(Phase.ROLLED_BACK, Start): TABLE[Phase.SCHEDULED, Start]},
)
_in_table(
    "an edit of the closure is not noticed",
    "an edit of the closure is noticed",
    RAMPS,
    {(Phase.RUNNING, ClosureEdited): Cell(lambda run, _event: (run, ()), {})},
)
_in_table(
    "a paused run ticks on as if it ran",
    "a paused run does not move",
    RAMPS,
    {(Phase.PAUSED, Tick): Cell(lambda run, tick: step(replace(run, phase=Phase.RUNNING), tick), {})},
)


@fault("a degraded verdict is ignored while frozen", DEGRADED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.is_frozen:
        event = _saying(event, Standing.DEGRADED, Standing.UNDECIDED)
    return step(run, event)


@fault("watching ignores absolute limits", DEGRADED, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and run.phase is Phase.WATCHING:
        event = _saying(event, Standing.DEGRADED, Standing.UNJUDGED, ("errors",))
    return step(run, event)


@fault("the first verdict of a guard hides its second", DEGRADED, ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        first = {one.guard: one for one in reversed(event.verdicts)}
        event = replace(event, verdicts=tuple(first.values()))
    return step(run, event)


@fault("the soak is skipped after a resume", NO_SOAK_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume) and after.stage:
        after = replace(after, progress=replace(after.progress, soak_ms=after.stage.soak_ms))
    return after, effects


@fault("the soak restarts after a resume", "no soak is lost while the stage stands", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume):
        after = replace(after, progress=replace(after.progress, soak_ms=0))
    return after, effects


@fault("a pause counts as soak", SOAK_BOUND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Resume) and not any(isinstance(effect, Refusal) for effect in effects):
        after = replace(after, progress=replace(after.progress, last_tick_ms=0))
    return after, effects


@fault("a freeze stops the soak", SOAK_COUNTS, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and event.is_frozen:
        after = replace(after, progress=replace(after.progress, soak_ms=run.progress.soak_ms))
    return after, effects


@fault("a jump of the clock counts in full", SOAK_BOUND, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, tick_ms=10**6) if isinstance(event, Tick) else step(run, event)


@fault("a clock that goes back adds soak", "time going backwards changes nothing", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.now_ms < 0:
        return _other(run, event, now_ms=-event.now_ms)
    return step(run, event)


@fault("soak counts while the ramp is under way", SOAK_BOUND, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and event.now_ms > 0 and after.place == run.place == 1 and after.phase is Phase.RUNNING:
        after = replace(after, progress=replace(after.progress, soak_ms=min(40, run.progress.soak_ms + 10)))
    return after, effects


@fault("the watch after the last stage is skipped", NO_SOAK_SKIPPED, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and run.phase is Phase.WATCHING:
        run = replace(run, progress=replace(run.progress, soak_ms=run.pipeline.finish.watch_ms))
    return step(run, event)


@fault("a frozen tick grows", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, is_frozen=False) if isinstance(event, Tick) else step(run, event)


@fault("people grow through a freeze", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, is_frozen=False) if isinstance(event, Start | Promote) else step(run, event)


@fault("a run is finished through a freeze though that grows", FROZEN, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, is_frozen=False) if isinstance(event, Finish) else step(run, event)


@fault("rollback is refused while frozen", "rollback is always possible", PATIENCE)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Rollback) and run.is_frozen:
        return run, (Refusal("freeze", "frozen", "wait"),)
    return step(run, event)


@fault("a run grows out of its turn", "out of turn, nothing grows", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, may_grow=True) if isinstance(event, Tick) else step(run, event)


@fault("blind advances", NEVER_BLIND, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, _saying(event, Standing.BLIND, Standing.HEALTHY) if isinstance(event, Tick) else event)


@fault("skewed advances", NEVER_BLIND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, _saying(event, Standing.SKEWED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@fault("a guard without a verdict passes for healthy", NEVER_BLIND, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        said = {one.guard for one in event.verdicts}
        silent = tuple(Judged(guard.name, Standing.HEALTHY) for guard in run.guards if guard.name not in said)
        event = replace(event, verdicts=(*event.verdicts, *silent))
    return step(run, event)


@fault("blindness starts anew at each tick", TOO_LONG, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    return step(replace(run, progress=replace(run.progress, blind_ms=0, blind_since_ms=None)), event)


@fault("blindness rolls back a tick early", TOO_LONG, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    shorter = replace(run.pipeline, on_blind=OnBlind(10, AfterHold.ROLLBACK))
    after, effects = step(replace(run, pipeline=shorter), event)
    return replace(after, pipeline=run.pipeline), effects


@fault("blindness rolls back though the pipeline says hold", TOO_LONG, PATIENCE)
def _(run: Run, event: Event) -> Outcome:
    eager = replace(run.pipeline, on_blind=OnBlind(0, AfterHold.ROLLBACK))
    after, effects = step(replace(run, pipeline=eager), event)
    return replace(after, pipeline=run.pipeline), effects


@fault("an approval is carried over to the next stage", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.place > run.place:
        kept = tuple(Approved(given.person, after.stage_name, given.at_ms) for given in after.approvals)
        after = replace(after, approvals=kept)
    return after, effects


@fault("one person approves twice", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Approve) and Approved(event.by, run.stage_name, 0) in run.approvals:
        return _other(run, event, by=f"{event.by} again")
    return step(run, event)


@fault("a rejection leaves the approvals standing", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, approvals=run.approvals) if isinstance(event, Reject) else after), effects


@fault("going back leaves later approvals standing", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, approvals=run.approvals) if after.place < run.place else after), effects


@fault("promote passes an approval", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if not isinstance(event, Promote):
        return step(run, event)
    lax = tuple(replace(stage, exit=replace(stage.exit, approval=None)) for stage in run.pipeline.stages)
    after, effects = step(replace(run, pipeline=replace(run.pipeline, stages=lax)), event)
    return replace(after, pipeline=run.pipeline), effects


@fault("promote skips without a reason", "forward by hand needs a reason", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, reason="none") if isinstance(event, Promote) else step(run, event)


@fault("promote goes back to a stage it jumped over", "back by hand only shrinks", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Promote) and any(isinstance(one, Refusal) and one.rule == "order" for one in effects):
        places = [stage.name for stage in run.pipeline.stages]
        earlier = tuple(one for one in run.entered if one.place < places.index(event.to))
        return enter(replace(run, entered=earlier), places.index(event.to), 0), ()
    return after, effects


@fault("verbs act on whatever stage there is", "verbs act on the stage that they name", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Resume | Promote | Approve | Reject | Finish):
        return _other(run, event, expects=run.stage_name)
    return step(run, event)


@fault("a refusal leaves a trace", "a refusal changes nothing", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    is_refused = any(isinstance(effect, Refusal) for effect in effects)
    return (replace(after, alarmed=("trace",)) if is_refused else after), effects


@fault("two stages pass in one tick", ORDER, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and after.place > run.place and after.stage:
        return replace(enter(after, after.place + 1, 0), transition=after.transition), effects
    return after, effects


@fault("a stage runs twice", ORDER, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and after.place == run.place + 1 == 1:
        after = replace(after, entered=(run.entered[0], Entered(0, 1, 30)))
    return after, effects


@fault("undecided passes for healthy", EXIT, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, _saying(event, Standing.UNDECIDED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@fault("unjudged passes for healthy", EXIT, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    return step(run, _saying(event, Standing.UNJUDGED, Standing.HEALTHY) if isinstance(event, Tick) else event)


@fault("nobody counts the exposed", EXIT, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return _other(run, event, exposed_units=10**6) if isinstance(event, Tick) else step(run, event)


@fault("the finish drops the control early", CONTROL, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.stage_name == FINISH:
        after = replace(after, entered=(*after.entered[:-1], replace(after.entered[-1], share_ppm=PPM)))
    return after, effects


@fault("completing writes the final variant", CONTROL, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.phase is Phase.COMPLETED and run.phase is Phase.RUNNING:
        effects = (*effects, WriteFinalVariant(run.flag, run.to_variant))
    return after, effects


@fault("rolling back a finished run leaves its variant in the flag", "rollback is always possible", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Rollback):
        effects = tuple(effect for effect in effects if not isinstance(effect, WriteFinalVariant))
    return after, effects


@fault("SDKs are not told", "SDKs see what is committed", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick):
        effects = tuple(effect for effect in effects if not isinstance(effect, SetReaches))
    return after, effects


@fault("a ramp steps within an allocation", ALLOCATION, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.place == run.place and after.entered != run.entered:
        after = replace(after, allocation=run.allocation)
    return after, effects


@fault("a new allocation is not opened where evidence is kept", ALLOCATION, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return after, effects[:1]


@fault("evidence of before an edit leads on", "verdicts of an earlier allocation lead nowhere", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.closure not in {None, run.closure}:
        run = replace(step(run, ClosureEdited("ann", 0, event.closure or ()))[0], transition=run.transition)
    return step(run, event)


@fault("action hold does not hold", "a guard with action hold holds", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        event = _saying(event, Standing.DEGRADED, Standing.UNDECIDED, ("conversion",))
    return step(run, event)


@fault("an outage of both arms does not hold", "a guard with action hold holds", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick):
        event = replace(event, verdicts=tuple(replace(one, hold=False) for one in event.verdicts))
    return step(run, event)


@fault("a hold never ends", "what no longer holds lets go", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and run.phase is Phase.HELD and after.phase in {Phase.RUNNING, Phase.WATCHING}:
        return run, ()
    return after, effects


@fault("relative guards hold a run that has no control left", SOAK_COUNTS, BLINDNESS)
def _(run: Run, event: Event) -> Outcome:
    absolute = tuple(replace(guard, is_absolute=True) for guard in run.guards)
    after, effects = step(replace(run, guards=absolute), event)
    return replace(after, guards=run.guards), effects


@fault("an acknowledgement does not stop the escalation", "acknowledged, nobody else is called", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if not isinstance(event, Tick) or run.need is None or not run.need.acknowledged_by:
        return step(run, event)
    after, effects = step(replace(run, need=replace(run.need, acknowledged_by="")), event)
    if after.need and after.need.kind is run.need.kind:
        after = replace(after, need=replace(after.need, acknowledged_by=run.need.acknowledged_by))
    return after, effects


@fault("the pager is never called", "waiting for a person counts", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    return step(replace(run, progress=replace(run.progress, waited_ms=-100)), event)


@fault("the pager is called at once", "whoever is needed is called when their time has come", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, need=replace(after.need, told=2)) if after.need else after), effects


@fault(
    "notices are lost with the process that sends them", "transitions are numbered, and carry their notices", ACTIONS
)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return replace(after, notices=()), effects


@fault("an exposing phase is missing from the table", TOTAL, ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if run.phase is Phase.WATCHING and isinstance(event, Acknowledge):
        raise KeyError(run.phase)
    return step(run, event)


@fault("approval leads where the table does not say", "the table says where it leads", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Approve) and after.phase is Phase.PAUSED and after != run:
        after = replace(after, phase=Phase.RUNNING, paused=None)
    return after, effects


@fault("a held run ramps on", "only start, promote and a running tick grow", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if run.phase is Phase.HELD and after.phase is Phase.RUNNING and after.place == 0:
        return enter(after, 1, 0), effects
    return after, effects


def _forgetful(run: Run, checkpoint: Progress) -> Run:
    """The last stage that was entered is lost, so that it runs twice."""
    again = REAL.restart(run, checkpoint)
    return replace(again, entered=again.entered[:-1])


def _credulous(run: Run, checkpoint: Progress) -> Run:
    """A checkpoint counts whatever it belongs to, so that soak of one stage passes for that of the next."""
    return REAL.restart(run, replace(checkpoint, transition=run.transition))


def _careless(run: Run, checkpoint: Progress) -> Run:
    """What ticks added up is lost, so that soak restarts with each restart."""
    return REAL.restart(run, replace(checkpoint, transition=-1))


def _unapproving(run: Run, checkpoint: Progress) -> Run:
    """Approvals are not stored."""
    return replace(REAL.restart(run, checkpoint), approvals=())


FAULTS += [
    Fault("a stage is run twice after a restart", RESTART, APPROVALS, Machine(restart=_forgetful)),
    Fault("soak of another stage counts after a restart", RESTART, APPROVALS, Machine(restart=_credulous)),
    Fault("soak restarts with the server", RESTART, APPROVALS, Machine(restart=_careless)),
    Fault("approvals do not survive a restart", RESTART, APPROVALS, Machine(restart=_unapproving)),
]
