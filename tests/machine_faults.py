"""Faults that were seeded into the machine, each with the law that must catch it. All stand on the real table."""

from __future__ import annotations

from dataclasses import replace

from rollout_sdk.engine.model import PPM
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
from rollout_server.domain.machine.table import Cell
from tests.machine_exploration import REAL, RESTART, TOTAL, Machine
from tests.machine_faults_of_ticks import FAULTS as FAULTS_OF_TICKS
from tests.machine_worlds import ACTIONS, APPROVALS, RAMPS
from tests.seeded_faults import (
    ALLOCATION,
    CONTROL,
    DEGRADED,
    NO_APPROVAL_SKIPPED,
    ORDER,
    Fault,
    Faults,
    other,
)

FAULTS = Faults(FAULTS_OF_TICKS)


def _idle(run: Run, tick: Tick) -> Outcome:
    return replace(run, progress=replace(run.progress, last_tick_ms=tick.now_ms)), ()


FAULTS.seed_in_table(
    "guardrails are not watched while approval is awaited",
    DEGRADED,
    APPROVALS,
    {(Phase.AWAITING_APPROVAL, Tick): Cell(_idle, {})},
)
FAULTS.seed_in_table(
    "guardrails are not watched while paused", DEGRADED, APPROVALS, {(Phase.PAUSED, Tick): Cell(_idle, {})}
)
FAULTS.seed_in_table("guardrails are not watched while held", DEGRADED, ACTIONS, {(Phase.HELD, Tick): Cell(_idle, {})})
FAULTS.seed_in_table(
    "nothing is watched after the last stage", DEGRADED, ACTIONS, {(Phase.WATCHING, Tick): Cell(_idle, {})}
)
FAULTS.seed_in_table(
    "rollback is refused while paused",
    "rollback is always possible",
    APPROVALS,
    {(Phase.PAUSED, Rollback): TABLE[Phase.PAUSED, Start]},
)
FAULTS.seed_in_table(
    "a kill leaves its run running",
    "kill ends its run in the same step",
    APPROVALS,
    {(Phase.RUNNING, Kill): Cell(lambda run, _event: (run, (FlagOff(run.flag),)), {})},
)
FAULTS.seed_in_table(
    "cancel works while somebody is exposed",
    "cancel only before the first exposure",
    APPROVALS,
    {(Phase.RUNNING, Cancel): TABLE[Phase.SCHEDULED, Cancel]},
)
FAULTS.seed_in_table(
    "pause does nothing while held",
    "pause keeps who is exposed",
    ACTIONS,
    {(Phase.HELD, Pause): Cell(lambda run, _event: (run, ()), {})},
)
FAULTS.seed_in_table(
    "a hold cannot be paused",
    "pausing is possible wherever a run goes on",
    ACTIONS,
    {(Phase.HELD, Pause): TABLE[Phase.SCHEDULED, Pause]},
)
FAULTS.seed_in_table(
    "a rolled back run starts again",
    "an ended run stays ended",
    APPROVALS,
    {(Phase.ROLLED_BACK, Start): TABLE[Phase.SCHEDULED, Start]},
)
FAULTS.seed_in_table(
    "an edit of the closure is not noticed",
    "an edit of the closure is noticed",
    RAMPS,
    {(Phase.RUNNING, ClosureEdited): Cell(lambda run, _event: (run, ()), {})},
)
FAULTS.seed_in_table(
    "a paused run ticks on as if it ran",
    "a paused run does not move",
    RAMPS,
    {(Phase.PAUSED, Tick): Cell(lambda run, tick: step(replace(run, phase=Phase.RUNNING), tick), {})},
)


@FAULTS.seed("an approval is carried over to the next stage", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.place > run.place:
        kept = tuple(Approved(given.person, after.stage_name, given.at_ms) for given in after.approvals)
        after = replace(after, approvals=kept)
    return after, effects


@FAULTS.seed("one person approves twice", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Approve) and Approved(event.by, run.stage_name, 0) in run.approvals:
        return other(run, event, by=f"{event.by} again")
    return step(run, event)


@FAULTS.seed("a rejection leaves the approvals standing", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, approvals=run.approvals) if isinstance(event, Reject) else after), effects


@FAULTS.seed("going back leaves later approvals standing", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, approvals=run.approvals) if after.place < run.place else after), effects


@FAULTS.seed("promote passes an approval", NO_APPROVAL_SKIPPED, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if not isinstance(event, Promote):
        return step(run, event)
    lax = tuple(replace(stage, exit=replace(stage.exit, approval=None)) for stage in run.pipeline.stages)
    after, effects = step(replace(run, pipeline=replace(run.pipeline, stages=lax)), event)
    return replace(after, pipeline=run.pipeline), effects


@FAULTS.seed("promote skips without a reason", "forward by hand needs a reason", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    return other(run, event, reason="none") if isinstance(event, Promote) else step(run, event)


@FAULTS.seed("promote goes back to a stage it jumped over", "back by hand only shrinks", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Promote) and any(isinstance(one, Refusal) and one.rule == "order" for one in effects):
        places = [stage.name for stage in run.pipeline.stages]
        earlier = tuple(one for one in run.entered if one.place < places.index(event.to))
        return enter(replace(run, entered=earlier), places.index(event.to), 0), ()
    return after, effects


@FAULTS.seed("verbs act on whatever stage there is", "verbs act on the stage that they name", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Resume | Promote | Approve | Reject | Finish):
        return other(run, event, expects=run.stage_name)
    return step(run, event)


@FAULTS.seed("a refusal leaves a trace", "a refusal changes nothing", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    is_refused = any(isinstance(effect, Refusal) for effect in effects)
    return (replace(after, alarmed=("trace",)) if is_refused else after), effects


@FAULTS.seed("two stages pass in one tick", ORDER, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and after.place > run.place and after.stage:
        return replace(enter(after, after.place + 1, 0), transition=after.transition), effects
    return after, effects


@FAULTS.seed("a stage runs twice", ORDER, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick) and after.place == run.place + 1 == 1:
        after = replace(after, entered=(run.entered[0], Entered(0, 1, 30)))
    return after, effects


@FAULTS.seed("the finish drops the control early", CONTROL, APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.stage_name == FINISH:
        after = replace(after, entered=(*after.entered[:-1], replace(after.entered[-1], share_ppm=PPM)))
    return after, effects


@FAULTS.seed("completing writes the final variant", CONTROL, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.phase is Phase.COMPLETED and run.phase is Phase.RUNNING:
        effects = (*effects, WriteFinalVariant(run.flag, run.to_variant))
    return after, effects


@FAULTS.seed("rolling back a finished run leaves its variant in the flag", "rollback is always possible", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Rollback):
        effects = tuple(effect for effect in effects if not isinstance(effect, WriteFinalVariant))
    return after, effects


@FAULTS.seed("SDKs are not told", "SDKs see what is committed", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Tick):
        effects = tuple(effect for effect in effects if not isinstance(effect, SetReaches))
    return after, effects


@FAULTS.seed("a ramp steps within an allocation", ALLOCATION, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if after.place == run.place and after.entered != run.entered:
        after = replace(after, allocation=run.allocation)
    return after, effects


@FAULTS.seed("a new allocation is not opened where evidence is kept", ALLOCATION, RAMPS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return after, effects[:1]


@FAULTS.seed("evidence of before an edit leads on", "verdicts of an earlier allocation lead nowhere", RAMPS)
def _(run: Run, event: Event) -> Outcome:
    if isinstance(event, Tick) and event.closure not in {None, run.closure}:
        run = replace(step(run, ClosureEdited("ann", 0, event.closure or ()))[0], transition=run.transition)
    return step(run, event)


@FAULTS.seed("an acknowledgement does not stop the escalation", "acknowledged, nobody else is called", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if not isinstance(event, Tick) or run.need is None or not run.need.acknowledged_by:
        return step(run, event)
    after, effects = step(replace(run, need=replace(run.need, acknowledged_by="")), event)
    if after.need and after.need.kind is run.need.kind:
        after = replace(after, need=replace(after.need, acknowledged_by=run.need.acknowledged_by))
    return after, effects


@FAULTS.seed("the pager is never called", "waiting for a person counts", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    return step(replace(run, progress=replace(run.progress, waited_ms=-100)), event)


@FAULTS.seed("the pager is called at once", "whoever is needed is called when their time has come", ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return (replace(after, need=replace(after.need, told=2)) if after.need else after), effects


@FAULTS.seed(
    "notices are lost with the process that sends them", "transitions are numbered, and carry their notices", ACTIONS
)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    return replace(after, notices=()), effects


@FAULTS.seed("an exposing phase is missing from the table", TOTAL, ACTIONS)
def _(run: Run, event: Event) -> Outcome:
    if run.phase is Phase.WATCHING and isinstance(event, Acknowledge):
        raise KeyError(run.phase)
    return step(run, event)


@FAULTS.seed("approval leads where the table does not say", "the table says where it leads", APPROVALS)
def _(run: Run, event: Event) -> Outcome:
    after, effects = step(run, event)
    if isinstance(event, Approve) and after.phase is Phase.PAUSED and after != run:
        after = replace(after, phase=Phase.RUNNING, paused=None)
    return after, effects


@FAULTS.seed("a held run ramps on", "only start, promote and a running tick grow", ACTIONS)
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
