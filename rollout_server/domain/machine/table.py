"""The machine: a table of what each event does in each phase, and the one function that follows it.

`step` is pure and total: no clock, no store, no exception. What a move forgets cannot be forgotten here: whatever
changes for SDKs is committed with the state, every new allocation is opened, every transition is numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rollout_server.domain.machine import endings, ticks, verbs
from rollout_server.domain.machine.effects import Effect, Notify, OpenAllocation, Outcome, SetReaches
from rollout_server.domain.machine.events import (
    EVENTS,
    Acknowledge,
    Approve,
    Cancel,
    ClosureEdited,
    Event,
    Finish,
    Kill,
    Pause,
    Promote,
    Reject,
    Resume,
    Rollback,
    Start,
    Tick,
    moment_ms,
)
from rollout_server.domain.machine.growth import named
from rollout_server.domain.machine.run import ENDED, EXPOSING, Phase, Run, is_transition, reaches

Move: TypeAlias = Callable[[Run, Any], Outcome]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one event does in one phase.

    Attributes:
        move: from a run and the event to the outcome.
        leads_to: each phase it may lead to, with when; the phase itself is left out. Tests hold it to what happens.
        is_refused: the move only ever says no.
    """

    move: Move
    leads_to: Mapping[Phase, str]
    is_refused: bool = False


Table: TypeAlias = Mapping[tuple[Phase, type[Event]], Cell]

_SCHEDULED, _RUNNING, _HELD, _PAUSED = Phase.SCHEDULED, Phase.RUNNING, Phase.HELD, Phase.PAUSED
_AWAITING, _WATCHING, _COMPLETED = Phase.AWAITING_APPROVAL, Phase.WATCHING, Phase.COMPLETED
_ROLLED_BACK, _CANCELLED = Phase.ROLLED_BACK, Phase.CANCELLED

_PASSING = (_RUNNING, _HELD, _PAUSED, _AWAITING)
_EXPOSING = tuple(phase for phase in Phase if phase in EXPOSING)
_STANDING = (*_PASSING, _WATCHING)


def _nothing(run: Run, _event: Event) -> Outcome:
    return run, ()


def _no(hint: str) -> Cell:
    def refuse(run: Run, event: Event) -> Outcome:
        message = f"{named(run)} is {run.phase.value}: {type(event).__name__.lower()} does not apply"
        return verbs.refused(run, "phase", message, hint)

    return Cell(refuse, {}, is_refused=True)


def _yes(move: Move, leads_to: Mapping[Phase, str] | None = None) -> Cell:
    return Cell(move, leads_to or {})


_NOTHING = _yes(_nothing)
_OVER = "start it again: that opens the next run"
_NOT_YET = "`rollout start` it first"
_WATCHED = "it completes when the watch is over; rollback works now"
_DONE = "`rollout finish` it, or roll it back"

_BROKEN = {_ROLLED_BACK: "degraded, or blind too long"}
_UNSEEN = {_HELD: "blind, skewed, degraded (hold) or an outage of both arms"}

_TICK: dict[Phase, Cell] = {
    _SCHEDULED: _NOTHING,
    _RUNNING: _yes(
        ticks.exposing,
        {
            **_BROKEN,
            **_UNSEEN,
            _AWAITING: "all else is met",
            _WATCHING: "last stage passed",
            _COMPLETED: "last stage passed, no watch",
        },
    ),
    _HELD: _yes(
        ticks.exposing, {**_BROKEN, _RUNNING: "nothing holds it", _WATCHING: "nothing holds it, in the finish"}
    ),
    _PAUSED: _yes(ticks.exposing, _BROKEN),
    _AWAITING: _yes(ticks.exposing, {**_BROKEN, **_UNSEEN}),
    _WATCHING: _yes(ticks.exposing, {**_BROKEN, **_UNSEEN, _COMPLETED: "watch is over"}),
    _COMPLETED: _yes(ticks.completed, {_ROLLED_BACK: "degraded"}),
    _ROLLED_BACK: _yes(ticks.over),
    _CANCELLED: _NOTHING,
}

_GO_BACK = {_RUNNING: "back to a stage it entered"}
_FORWARD = {
    _RUNNING: "to a stage",
    _WATCHING: "past the last stage",
    _COMPLETED: "past the last stage, no watch",
}


def _row(cells: Mapping[Phase, Cell], before: str, watching: str, after: str) -> dict[Phase, Cell]:
    """Fill a row: where an event does not apply, the hint says what does."""
    hints = {_SCHEDULED: before, _WATCHING: watching, _COMPLETED: _DONE}
    return {phase: cells.get(phase, _no(hints.get(phase, after))) for phase in Phase}


ROWS: Mapping[type[Event], Mapping[Phase, Cell]] = {
    Start: _row(
        {
            _SCHEDULED: _yes(verbs.start, {_RUNNING: "first stage"}),
            **dict.fromkeys(_STANDING, _no("it is started; `rollout watch` shows where it is")),
        },
        "",
        "",
        _OVER,
    ),
    Tick: _TICK,
    Pause: _row(
        {
            **{phase: _yes(verbs.pause, {_PAUSED: ""}) for phase in (_RUNNING, _HELD, _AWAITING, _WATCHING)},
            _PAUSED: _NOTHING,
        },
        "cancel it, or change when it starts",
        "",
        _OVER,
    ),
    Resume: _row(
        {
            _PAUSED: _yes(verbs.resume, {_RUNNING: "", _WATCHING: "in the finish"}),
            _HELD: _no("the engine goes on by itself when nothing holds it; `rollout promote --reason` goes on now"),
            _AWAITING: _no("`rollout approve` it"),
            _RUNNING: _no("it is running"),
        },
        _NOT_YET,
        _WATCHED,
        _OVER,
    ),
    Promote: _row(
        {
            _RUNNING: _yes(verbs.promote, {phase: when for phase, when in _FORWARD.items() if phase is not _RUNNING}),
            _HELD: _yes(verbs.promote, _FORWARD),
            _AWAITING: _yes(verbs.promote, _GO_BACK),
            _PAUSED: _yes(verbs.promote),
            _WATCHING: _yes(verbs.promote, _GO_BACK),
        },
        _NOT_YET,
        "",
        _OVER,
    ),
    Approve: _row(
        {
            **dict.fromkeys(_PASSING, _yes(verbs.approve)),
            _AWAITING: _yes(verbs.approve, {_RUNNING: "enough approvals"}),
        },
        _NOT_YET,
        _WATCHED,
        _OVER,
    ),
    Reject: _row(
        {**dict.fromkeys(_PASSING, _yes(verbs.reject, {_PAUSED: ""})), _PAUSED: _yes(verbs.reject)},
        _NOT_YET,
        _WATCHED,
        _OVER,
    ),
    Finish: _row(
        {
            _COMPLETED: _yes(verbs.finish),
            **dict.fromkeys(_PASSING, _no("let it complete first, or `rollout promote --to finish --reason`")),
        },
        _NOT_YET,
        _WATCHED,
        _OVER,
    ),
    Acknowledge: {phase: _yes(verbs.acknowledge) for phase in Phase},
    ClosureEdited: {
        phase: _yes(ticks.closure_edited) if phase in EXPOSING | {_SCHEDULED} else _NOTHING for phase in Phase
    },
    Rollback: {
        phase: _NOTHING if phase in {_ROLLED_BACK, _CANCELLED} else _yes(endings.rollback, {_ROLLED_BACK: ""})
        for phase in Phase
    },
    Kill: {
        phase: _yes(endings.kill, {} if phase in {_ROLLED_BACK, _CANCELLED} else {_ROLLED_BACK: ""}) for phase in Phase
    },
    Cancel: {
        **{phase: _no("roll it back: somebody is exposed") for phase in Phase if phase not in ENDED},
        **dict.fromkeys((_COMPLETED, _ROLLED_BACK), _no("it is over; roll it back if it still exposes anybody")),
        _SCHEDULED: _yes(verbs.cancel, {_CANCELLED: ""}),
        _CANCELLED: _NOTHING,
    },
}
"""The machine, event by event: what it does in each phase. Total: a test counts."""

TABLE: Table = {(phase, kind): ROWS[kind][phase] for kind in EVENTS for phase in Phase}


def step(run: Run, event: Event) -> Outcome:
    """Return the run after an event, and what that asks for.

    Total: any run and any event, in any order. The first effects commit with the new state in one entry
    (`effects.COMMITS`), the others follow from it once it is stored. A `Refusal` stands alone, and the run is the one
    before. Nothing to store has happened where `is_transition` is false: ticks only add to `progress`.
    """
    return follow(TABLE, run, event)


def follow(table: Table, run: Run, event: Event) -> Outcome:
    """Do what a table says. There is one table; tests break others on purpose."""
    after, effects = table[run.phase, type(event)].move(run, event)
    if not is_transition(run, after):
        return after, effects
    number = run.transition + 1
    # Whoever edits does not know what ticks added up since: their checkpoint goes on counting for this run.
    counted = run.progress.transition if isinstance(event, ClosureEdited) else number
    after = replace(
        after,
        transition=number,
        changed_at_ms=moment_ms(event),
        notices=tuple(effect.notice for effect in effects if isinstance(effect, Notify)),
        progress=replace(after.progress, transition=counted),
    )
    return after, (*_seen_by_sdks(run, after), *effects)


def visible(run: Run) -> SetReaches:
    """Return what SDKs decide with."""
    reached = reaches(run)
    return SetReaches(run.number, run.allocation, run.stage_name if reached else "", reached)


def _seen_by_sdks(before: Run, after: Run) -> tuple[Effect, ...]:
    if visible(before) == visible(after):
        return ()
    if before.allocation == after.allocation:
        return (visible(after),)
    return visible(after), OpenAllocation(after.allocation)
