"""The laws of the rollout machine (DESIGN section 10), each checked at every transition of an exploration.

They are written against what a run exposes and what was done to it, not against how the machine does it.
"""

from __future__ import annotations

from collections.abc import Callable

from rollout_sdk.engine.model import PPM
from rollout_server.domain.machine import (
    EVENTS,
    EXPOSING,
    FINISH,
    TABLE,
    Approve,
    Cancel,
    ClosureEdited,
    Event,
    Finish,
    FlagOff,
    Kill,
    Notify,
    OpenAllocation,
    Pause,
    Phase,
    Promote,
    Reject,
    Resume,
    Rollback,
    SetReaches,
    Start,
    Tick,
    WriteFinalVariant,
    is_transition,
)
from rollout_server.domain.rollouts import AfterHold
from tests.machine_moments import Moment, counted_ms, demanded_ms, full_ppm, is_healthy, is_holding, is_soaking, shares
from tests.machine_worlds import ENDED

Law = Callable[[Moment], bool]
LAWS: dict[type[Event], dict[str, Law]] = {kind: {} for kind in EVENTS}


def law(name: str, *kinds: type[Event]) -> Callable[[Law], Law]:
    """Name a law of some events, or of all; it returns whether a transition keeps it."""

    def add(check: Law) -> Law:
        for kind in kinds or EVENTS:
            LAWS[kind][name] = check
        return check

    return add


@law("degraded rolls back from every phase that exposes anyone", Tick)
def _degraded(it: Moment) -> bool:
    if not it.is_broken or it.before.phase not in EXPOSING or it.before.is_finished:
        return True
    gone = SetReaches(it.after.number, it.after.allocation, "", ())
    return it.after.phase is Phase.ROLLED_BACK and gone in it.effects and any(isinstance(e, Notify) for e in it.effects)


@law("rollback is always possible", Rollback)
def _rollback(it: Moment) -> bool:
    if not isinstance(it.event, Rollback):
        return True
    undone = WriteFinalVariant("checkout", "off") in it.effects or not (
        it.before.is_finished and it.before.phase is Phase.COMPLETED
    )
    return not it.is_refused and not it.is_visible.reaches and it.after.phase in ENDED - {Phase.COMPLETED} and undone


@law("kill ends its run in the same step", Kill)
def _kill(it: Moment) -> bool:
    if not isinstance(it.event, Kill):
        return True
    is_over = it.before.is_finished or (not it.is_visible.reaches and it.after.phase in ENDED - {Phase.COMPLETED})
    return FlagOff("checkout") in it.effects and is_over


@law("pause keeps who is exposed", Pause)
def _pause(it: Moment) -> bool:
    if not isinstance(it.event, Pause) or it.is_refused:
        return True
    return it.is_visible == it.was_visible and it.after.phase is Phase.PAUSED


@law("pausing is possible wherever a run goes on", Pause)
def _pausable(it: Moment) -> bool:
    return not (isinstance(it.event, Pause) and it.is_refused and it.before.phase in EXPOSING - {Phase.COMPLETED})


@law("a paused run does not move", Tick)
def _paused(it: Moment) -> bool:
    if it.before.phase is not Phase.PAUSED or not isinstance(it.event, Tick) or it.after.phase is Phase.ROLLED_BACK:
        return True
    return it.after.phase is Phase.PAUSED and it.after.entered == it.before.entered


@law("cancel only before the first exposure", Cancel)
def _cancel(it: Moment) -> bool:
    if not isinstance(it.event, Cancel):
        return True
    return it.is_refused == (it.before.phase not in {Phase.SCHEDULED, Phase.CANCELLED})


@law("frozen, nothing grows", Tick, Start, Promote, Finish)
def _frozen(it: Moment) -> bool:
    if not isinstance(it.event, Tick | Start | Promote | Finish) or not it.event.is_frozen:
        return True
    to_all = WriteFinalVariant("checkout", "on") in it.effects and shares(it.before).get(None, 0) < PPM
    return not it.grows and not to_all


@law("out of turn, nothing grows", Tick)
def _turn(it: Moment) -> bool:
    return not isinstance(it.event, Tick) or it.event.may_grow or not it.grows


@law("only start, promote and a running tick grow")
def _growers(it: Moment) -> bool:
    if not it.grows:
        return True
    return isinstance(it.event, Start | Promote) or (isinstance(it.event, Tick) and it.before.phase is Phase.RUNNING)


@law("blind or skewed never advances", Tick)
def _unseen(it: Moment) -> bool:
    if not it.is_unseen:
        return True
    return (
        not it.grows
        and it.after.place == it.before.place
        and it.after.progress.soak_ms == it.before.progress.soak_ms
        and it.after.progress.ramp_ms == it.before.progress.ramp_ms
        and not (it.after.phase is Phase.COMPLETED and it.before.phase is not Phase.COMPLETED)
    )


@law("no soak is skipped")
def _soak(it: Moment) -> bool:
    is_left = it.after.place > it.before.place >= 0 or (
        it.before.phase is Phase.WATCHING and it.after.phase is Phase.COMPLETED
    )
    if not is_left or isinstance(it.event, Promote):
        return True
    soaked_ms = it.ghost.soaked_ms + (it.passed_ms if it.ghost.runs and is_soaking(it.before, it.event) else 0)
    return soaked_ms >= demanded_ms(it.before) and it.before.entered[-1].share_ppm == full_ppm(it.before)


@law("soak and evidence go on: each running, unblind tick at full share counts, frozen or not", Tick)
def _soak_counts(it: Moment) -> bool:
    if not is_soaking(it.before, it.event) or it.is_back or it.after.place != it.before.place:
        return True
    soak_ms = it.before.progress.soak_ms + counted_ms(it.before, it.event)
    return it.after.progress.soak_ms == min(demanded_ms(it.before), soak_ms)


@law("no soak is lost while the stage stands")
def _soak_kept(it: Moment) -> bool:
    if it.after.place != it.before.place or it.after.phase in {Phase.ROLLED_BACK, Phase.CANCELLED}:
        return True
    return it.after.progress.soak_ms >= it.before.progress.soak_ms


@law("verdicts of an earlier allocation lead nowhere", Tick)
def _earlier(it: Moment) -> bool:
    return it.after.closure == it.before.closure or it.after.entered == it.before.entered


@law("no more soak than time passed running")
def _soak_bound(it: Moment) -> bool:
    return it.after.phase in ENDED or it.after.progress.soak_ms <= it.later.soaked_ms


@law("no approval is skipped")
def _approval(it: Moment) -> bool:
    if it.after.place <= it.before.place or it.before.place < 0:
        return True
    jumped = it.before.pipeline.stages[it.before.place + 1 : it.after.place]
    needed = it.before.stage.exit.approval.count if it.before.stage and it.before.stage.exit.approval else 0
    given = len({person for stage, person in it.ghost.yes if stage == it.before.stage_name})
    return given >= needed and all(stage.exit.approval is None for stage in jumped)


@law("a stage is left only when its exit is met", Tick)
def _exit(it: Moment) -> bool:
    if not isinstance(it.event, Tick) or it.before.stage is None or it.after.place == it.before.place:
        return True
    wanted = it.before.stage.exit
    return it.event.exposed_units >= wanted.exposed and (not wanted.is_healthy or is_healthy(it.before, it.event))


@law("no stage runs twice or is skipped unless a person said so")
def _order(it: Moment) -> bool:
    if isinstance(it.event, Promote) and not it.is_refused:
        places = [one.place for one in it.after.entered]
        return places == sorted(set(places))
    was, now = it.before.entered, it.after.entered
    if it.after.place == it.before.place:
        return now[:-1] == was[:-1] and (not now or now[-1].step >= was[-1].step)
    return it.after.place == it.before.place + 1 and now[:-1] == was


@law("forward by hand needs a reason", Promote)
def _reason(it: Moment) -> bool:
    return not (isinstance(it.event, Promote) and it.after.place > it.before.place and not it.event.reason)


@law("back by hand only shrinks", Promote)
def _back(it: Moment) -> bool:
    return not (it.after.place < it.before.place and it.grows)


@law("time going backwards changes nothing", Tick)
def _time(it: Moment) -> bool:
    if not it.is_back or it.after.phase is Phase.ROLLED_BACK:
        return True
    was, now = it.before.progress, it.after.progress
    sums = (was.soak_ms, was.ramp_ms, was.waited_ms), (now.soak_ms, now.ramp_ms, now.waited_ms)
    return (
        it.after.entered == it.before.entered
        and it.after.phase in {it.before.phase, Phase.HELD}
        and (sums[0] == sums[1] or it.after.need != it.before.need)
        and (now.blind_ms == was.blind_ms or not it.is_unseen)
    )


@law("verbs act on the stage that they name", Resume, Promote, Approve, Reject, Finish)
def _expects(it: Moment) -> bool:
    if not isinstance(it.event, Resume | Promote | Approve | Reject | Finish):
        return True
    return it.event.expects == it.before.stage_name or it.is_refused


@law("a refusal changes nothing")
def _refusal(it: Moment) -> bool:
    return not it.is_refused or (it.after == it.before and len(it.effects) == 1)


@law("an ended run stays ended")
def _ended(it: Moment) -> bool:
    if it.before.phase not in ENDED or it.after.phase is it.before.phase:
        return not (it.before.phase in ENDED and it.grows)
    return it.before.phase is Phase.COMPLETED and it.after.phase is Phase.ROLLED_BACK


@law("SDKs see what is committed")
def _visible(it: Moment) -> bool:
    said = [effect for effect in it.effects if isinstance(effect, SetReaches)]
    return said == ([it.is_visible] if it.is_visible != it.was_visible else [])


@law("reach stands still within an allocation")
def _allocation(it: Moment) -> bool:
    opened = it.after.allocation - it.before.allocation
    is_edited = isinstance(it.event, ClosureEdited | Tick) and it.after.closure != it.before.closure
    wants = (it.is_visible.reaches != it.was_visible.reaches or is_edited) and bool(it.is_visible.reaches)
    said = [effect for effect in it.effects if isinstance(effect, OpenAllocation)]
    return opened == int(wants) and said == ([OpenAllocation(it.after.allocation)] if wants else [])


@law("an edit of the closure is noticed", ClosureEdited, Tick)
def _closure(it: Moment) -> bool:
    if not isinstance(it.event, ClosureEdited | Tick) or it.event.closure is None:
        return True
    must = it.before.phase in EXPOSING - {Phase.COMPLETED} and it.after.phase in EXPOSING
    return not must or it.after.closure == it.event.closure


@law("a guard with action hold holds", Tick)
def _holds(it: Moment) -> bool:
    if it.before.phase not in {Phase.RUNNING, Phase.WATCHING, Phase.AWAITING_APPROVAL, Phase.HELD}:
        return True
    return not is_holding(it.before, it.event) or it.after.phase in {Phase.HELD, Phase.ROLLED_BACK}


@law("what no longer holds lets go", Tick)
def _lets_go(it: Moment) -> bool:
    if it.before.phase is not Phase.HELD or not isinstance(it.event, Tick) or it.is_back:
        return True
    if is_holding(it.before, it.event) or it.is_broken or it.after.closure != it.before.closure:
        return True
    return it.after.phase in {Phase.RUNNING, Phase.WATCHING}


@law("blind too long leads to what the pipeline says, and not before", Tick)
def _too_long(it: Moment) -> bool:
    if not isinstance(it.event, Tick) or it.before.phase not in EXPOSING - {Phase.COMPLETED}:
        return True
    if it.is_broken:
        return True
    on_blind = it.before.pipeline.on_blind
    if on_blind is None or on_blind.then is AfterHold.HOLD or not it.is_unseen:
        return it.after.phase is not Phase.ROLLED_BACK
    unseen_ms = 0 if it.ghost.unseen_ms is None else it.ghost.unseen_ms + counted_ms(it.before, it.event)
    return (it.after.phase is Phase.ROLLED_BACK) == (unseen_ms >= on_blind.hold_ms)


@law("no share beyond what the pipeline says, and the control stands until the finish")
def _control(it: Moment) -> bool:
    wanted = {
        **{stage.name: stage.share_ppm for stage in it.after.pipeline.stages},
        FINISH: it.after.pipeline.finish.share_ppm,
    }
    within = all(share_ppm <= wanted[name] for name, _, share_ppm in it.is_visible.reaches)
    written = WriteFinalVariant("checkout", "on") in it.effects
    return within and (not written or (isinstance(it.event, Finish) and it.before.phase is Phase.COMPLETED))


@law("acknowledged, nobody else is called", Tick)
def _acknowledged(it: Moment) -> bool:
    need = it.before.need
    if need is None or not need.acknowledged_by or not isinstance(it.event, Tick) or it.after.need is None:
        return True
    calls = [e.notice for e in it.effects if isinstance(e, Notify) and e.notice.kind is need.kind]
    return not calls or it.after.need.kind is not need.kind or not it.after.need.acknowledged_by


@law("whoever is needed is called when their time has come")
def _called(it: Moment) -> bool:
    need = it.after.need
    if need is None or need.acknowledged_by or it.after.phase is Phase.COMPLETED:
        return True
    return need.told == len([s for s in it.after.pipeline.escalation if s.after_ms <= it.after.progress.waited_ms])


@law("waiting for a person counts", Tick)
def _waiting(it: Moment) -> bool:
    need, now = it.before.need, it.after.need
    if need is None or now is None or need.acknowledged_by or now.kind is not need.kind:
        return True
    if it.is_broken and it.before.phase in EXPOSING:
        return True
    steps = sorted(step.after_ms for step in it.before.pipeline.escalation)
    if need.told >= len(steps):
        return True
    waited_ms = it.before.progress.waited_ms + counted_ms(it.before, it.event)
    return it.after.progress.waited_ms == min(steps[-1], waited_ms)


@law("the table says where it leads")
def _table(it: Moment) -> bool:
    cell = TABLE[it.before.phase, type(it.event)]
    if cell.is_refused and not it.is_refused:
        return False
    return it.after.phase is it.before.phase or it.after.phase in cell.leads_to


@law("transitions are numbered, and carry their notices")
def _numbered(it: Moment) -> bool:
    notices = tuple(effect.notice for effect in it.effects if isinstance(effect, Notify))
    if it.after.transition == it.before.transition:
        return not is_transition(it.before, it.after) and not notices
    number = it.before.transition + 1
    counted = it.before.progress.transition if isinstance(it.event, ClosureEdited) else number
    progress = it.after.progress.transition
    return it.after.transition == number and progress == counted and it.after.notices == notices
