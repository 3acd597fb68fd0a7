"""What people do to a run, stops apart (those are in `endings`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM
from rollout_server.domain.changes import voice
from rollout_server.domain.machine.effects import Refusal, WriteFinalVariant
from rollout_server.domain.machine.growth import back_to, completed_sentence, enter, named, percent
from rollout_server.domain.machine.notices import tell
from rollout_server.domain.machine.run import (
    FINISH,
    Act,
    Approved,
    End,
    NoticeKind,
    Phase,
    Run,
    Trigger,
    approvers,
    lacks_approval,
    reaches,
)
from rollout_server.domain.machine.ticks import going

if TYPE_CHECKING:
    from rollout_server.domain.machine.effects import Outcome
    from rollout_server.domain.machine.events import (
        Acknowledge,
        Approve,
        Cancel,
        Finish,
        Pause,
        Promote,
        Reject,
        Resume,
        Start,
    )

_THAW_HINT = "wait for the thaw, or ask somebody whom the freeze exempts; rollback and kill work now"


def refused(run: Run, rule: str, message: str, hint: str) -> Outcome:
    """Say no; the run is the one before."""
    return run, (Refusal(rule, message, hint),)


def start(run: Run, event: Start) -> Outcome:
    """Enter the first stage. Blindness is no obstacle: before the first exposure there is nothing to see."""
    if not run.pipeline.stages:
        return refused(run, "pipeline", f"{named(run)} has no stages", "give its pipeline a stage")
    if event.is_frozen:
        return refused(run, "freeze", f"{named(run)} cannot start: a freeze is in force", _THAW_HINT)
    run = enter(run, 0, event.at_ms)
    run = replace(run, started=Act(event.by, event.at_ms, event.reason))
    return tell(run, NoticeKind.STARTED, f"{named(run)} started: {run.stage_name} at {percent(run)}")


def pause(run: Run, event: Pause) -> Outcome:
    """Stop where it is. Who is exposed stays exposed, and the guards stay armed."""
    return _paused(run, Act(event.by, event.at_ms, event.reason)), ()


def resume(run: Run, event: Resume) -> Outcome:
    """Go on where it stopped; the time of the pause is no soak."""
    if event.expects != run.stage_name:
        return _elsewhere(run, event.expects)
    return replace(_unclocked(run), phase=going(run), paused=None), ()


def approve(run: Run, event: Approve) -> Outcome:
    """Note one person's yes to leaving this stage. The engine leaves it at a tick at which all else is met too."""
    if event.expects != run.stage_name:
        return _elsewhere(run, event.expects)
    if run.stage is None or run.stage.exit.approval is None:
        return _no_approval(run)
    if voice(event.by) in map(voice, approvers(run)):
        message = f"{event.by} has approved {run.stage_name} of {named(run)} already"
        return refused(run, "approval", message, "each person counts once; ask somebody else of the group")
    given = Approved(event.by, run.stage_name, event.at_ms)
    run = replace(run, approvals=(*run.approvals, given))
    if run.phase is Phase.AWAITING_APPROVAL and not lacks_approval(run):
        run = replace(_unclocked(run), phase=Phase.RUNNING, need=None)
        run = replace(run, progress=replace(run.progress, waits_for=()))
    return run, ()


def reject(run: Run, event: Reject) -> Outcome:
    """Pause, and void what others approved of this stage."""
    if event.expects != run.stage_name:
        return _elsewhere(run, event.expects)
    if run.stage is None or run.stage.exit.approval is None:
        return _no_approval(run)
    kept = tuple(given for given in run.approvals if given.stage != run.stage_name)
    why = f"rejected: {event.reason}" if event.reason else "rejected"
    return _paused(replace(run, approvals=kept), Act(event.by, event.at_ms, why)), ()


def promote(run: Run, event: Promote) -> Outcome:
    """Go to a stage because a person says so: forward with a reason, never past an approval; back is a shrink."""
    if event.expects != run.stage_name:
        return _elsewhere(run, event.expects)
    place = _place_of(run, event.to)
    if place is None or place == run.place:
        names = ", ".join((*(stage.name for stage in run.pipeline.stages), FINISH))
        message = f"{event.to or 'a next stage'} is no other stage of {named(run)}, which is at {run.stage_name}"
        return refused(run, "stage", message, f"one of: {names}")
    return _forward(run, event, place) if place > run.place else _backward(run, event, place)


def finish(run: Run, event: Finish) -> Outcome:
    """Write the final variant into the flag. Until then a share below 100 % stands as control."""
    if event.expects != run.stage_name:
        return _elsewhere(run, event.expects)
    if run.is_finished:
        return refused(run, "phase", f"{named(run)} is finished already", "nothing is left to do")
    if event.is_frozen and not _exposes_everyone(run):
        message = f"{named(run)} stands at {percent(run)}: to finish it would grow, and a freeze is in force"
        return refused(run, "freeze", message, _THAW_HINT)
    return replace(run, is_finished=True), (WriteFinalVariant(run.flag, run.to_variant),)


def cancel(run: Run, event: Cancel) -> Outcome:
    """Never start."""
    end = End(Trigger.PERSON, event.by, event.reason, event.at_ms)
    return replace(run, phase=Phase.CANCELLED, end=end), ()


def acknowledge(run: Run, event: Acknowledge) -> Outcome:
    """Stop the escalation."""
    if run.need is None:
        return refused(run, "phase", f"{named(run)} needs nobody", "nothing is left to do")
    return replace(run, need=replace(run.need, acknowledged_by=run.need.acknowledged_by or event.by)), ()


def _forward(run: Run, event: Promote, place: int) -> Outcome:
    if run.phase is Phase.PAUSED:
        return refused(run, "phase", f"{named(run)} is paused", "`rollout resume` it first, then promote")
    if not event.reason:
        message = f"promoting {named(run)} past what {run.stage_name} waits for needs a reason"
        return refused(run, "reason", message, "say why with --reason")
    if event.is_frozen:
        return refused(run, "freeze", f"{named(run)} cannot grow: a freeze is in force", _THAW_HINT)
    unapproved = _unapproved(run, place)
    if unapproved:
        message = f"{unapproved} of {named(run)} is left by approval only, and some is missing"
        there = "" if unapproved == run.stage_name else f"promote to {unapproved} at most, and there "
        return refused(run, "approval", message, f"{there}`rollout approve` it first")
    left = run.stage_name
    run = _unclocked(enter(run, place, event.at_ms))
    if run.phase is Phase.COMPLETED:
        return tell(
            run, NoticeKind.COMPLETED, f"{event.by} promoted past {left}: {event.reason}; {completed_sentence(run)}"
        )
    sentence = f"{event.by} promoted {named(run)} from {left} to {run.stage_name} at {percent(run)}: {event.reason}"
    return tell(run, NoticeKind.ADVANCED, sentence)


def _backward(run: Run, event: Promote, place: int) -> Outcome:
    if place not in {entered.place for entered in run.entered}:
        name = run.name_of(place)
        message = f"{name} of {named(run)} was never entered: going there would expose new units"
        return refused(run, "order", message, "go back to a stage that was entered, or roll back and start again")
    left, is_paused, act = run.stage_name, run.phase is Phase.PAUSED, run.paused
    run = back_to(run, place)
    if is_paused:
        run = replace(run, phase=Phase.PAUSED, paused=act)
    sentence = f"{event.by} took {named(run)} back from {left} to {run.stage_name} at {percent(run)}"
    sentence += f": {event.reason}" if event.reason else ""
    return tell(_unclocked(run), NoticeKind.ADVANCED, sentence)


def _unapproved(run: Run, place: int) -> str:
    """The first stage from here to `place` whose approval is missing; a stage that is jumped over has none at all."""
    if lacks_approval(run):
        return run.stage_name
    jumped = run.pipeline.stages[run.place + 1 : place]
    return next((stage.name for stage in jumped if stage.exit.approval is not None), "")


def _place_of(run: Run, name: str) -> int | None:
    count = len(run.pipeline.stages)
    if not name:
        return run.place + 1 if run.place < count else None
    names = [stage.name for stage in run.pipeline.stages]
    return names.index(name) if name in names else count if name == FINISH else None


def _exposes_everyone(run: Run) -> bool:
    return any(one.audience is None and one.share_ppm >= PPM for one in reaches(run))


def _paused(run: Run, act: Act) -> Run:
    return replace(_unclocked(run), phase=Phase.PAUSED, paused=act, held=None, need=None)


def _unclocked(run: Run) -> Run:
    """The next tick adds nothing: part of the time before it was not the stage's."""
    return replace(run, progress=replace(run.progress, last_tick_ms=None))


def _elsewhere(run: Run, expected: str) -> Outcome:
    message = f"{named(run)} is at {run.stage_name}, not at {expected or 'a stage that was named'}"
    return refused(run, "stage", message, "look at it again, then name the stage it is at")


def _no_approval(run: Run) -> Outcome:
    message = f"{run.stage_name} of {named(run)} asks for no approval"
    return refused(run, "approval", message, "nothing is left to do; `rollout pause` stops it")
