"""Ticks: guards first, then time, then growth, then the escalation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.domain.machine import endings, growth
from rollout_server.domain.machine.notices import call_person, escalate, tell
from rollout_server.domain.machine.run import NoticeKind, Phase, Run
from rollout_server.domain.machine.sentences import duration
from rollout_server.domain.machine.sight import Sight, look
from rollout_server.domain.rollouts import AfterHold

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_server.domain.machine.effects import Effect, Outcome
    from rollout_server.domain.machine.events import ClosureEdited, Tick

    Going = Callable[[Run, Tick, Sight, int], Outcome]

TICKS_MAX = 3
"""At most this many tick lengths are added by one tick, however far the clock jumped."""


def exposing(run: Run, tick: Tick) -> Outcome:
    """A tick of a run that exposes somebody. The order is the promise: no phase is asked before the guards are."""
    sight = look(run, tick.verdicts)
    if sight.broken is not None:
        return endings.by_verdict(run, tick, sight.broken)
    elapsed_ms, is_back = _elapsed_ms(run, tick), _is_back(run, tick)
    run = _timed(run, tick, sight, elapsed_ms)
    if _is_overdue(run, sight):
        why = f"not all guardrails were seen for {duration(run.progress.blind_ms)}"
        return endings.by_blindness(run, tick, f"{sight.holds.sentence}; {why}" if sight.holds else why)
    run, effects = _alarmed(run, sight)
    run, is_edited = _in_closure(run, tick.closure)
    was_needed = run.need is not None
    if sight.holds is not None:
        run, more = _hold(run, sight)
    elif is_back or is_edited:  # neither a clock that went back nor verdicts of an earlier allocation lead on
        more = ()
    else:
        run, more = _GOING[run.phase](run, tick, sight, elapsed_ms)
    run, last = escalate(run, elapsed_ms if was_needed else 0)
    return run, (*effects, *more, *last)


def completed(run: Run, tick: Tick) -> Outcome:
    """A tick of a completed run: as long as the rule stands it exposes, so a broken guard still rolls it back."""
    sight = look(run, tick.verdicts)
    if sight.broken is not None and not run.is_finished:
        return endings.by_verdict(run, tick, sight.broken)
    return over(run, tick)


def over(run: Run, tick: Tick) -> Outcome:
    """A tick of a run that exposes nobody, or no longer grows: people may still have to be told."""
    elapsed_ms = _elapsed_ms(run, tick)
    run = replace(run, progress=replace(run.progress, last_tick_ms=tick.now_ms))
    return escalate(run, elapsed_ms)


def closure_edited(run: Run, event: ClosureEdited) -> Outcome:
    """Open a new allocation, in the entry of the edit, if the edit changed what reach depends on."""
    return _in_closure(run, event.closure)[0], ()


def going(run: Run) -> Phase:
    """Return the phase of a run that nothing holds."""
    return Phase.WATCHING if run.stage is None else Phase.RUNNING


def _in_closure(run: Run, closure: tuple[tuple[str, str], ...] | None) -> tuple[Run, bool]:
    if closure is None or closure == run.closure:
        return run, False
    return replace(run, closure=closure, allocation=run.allocation + 1 if run.allocation else 0), True


def _elapsed_ms(run: Run, tick: Tick) -> int:
    last_ms = run.progress.last_tick_ms
    return 0 if last_ms is None else max(0, min(tick.now_ms - last_ms, TICKS_MAX * tick.tick_ms))


def _is_back(run: Run, tick: Tick) -> bool:
    last_ms = run.progress.last_tick_ms
    return last_ms is not None and tick.now_ms < last_ms


def _timed(run: Run, tick: Tick, sight: Sight, elapsed_ms: int) -> Run:
    before = run.progress
    if not sight.unseen:
        since_ms, blind_ms = None, 0
    elif before.blind_since_ms is None:
        since_ms, blind_ms = tick.now_ms, 0
    else:
        allowed_ms = run.pipeline.on_blind.hold_ms if run.pipeline.on_blind else 0
        since_ms, blind_ms = before.blind_since_ms, min(before.blind_ms + elapsed_ms, allowed_ms)
    progress = replace(before, last_tick_ms=tick.now_ms, blind_since_ms=since_ms, blind_ms=blind_ms)
    return replace(run, is_frozen=tick.is_frozen, progress=progress)


def _is_overdue(run: Run, sight: Sight) -> bool:
    on_blind = run.pipeline.on_blind
    if on_blind is None or on_blind.then is not AfterHold.ROLLBACK or not sight.unseen:
        return False
    return run.progress.blind_ms >= on_blind.hold_ms


def _alarmed(run: Run, sight: Sight) -> Outcome:
    effects: tuple[Effect, ...] = ()
    for verdict in sight.alarms:
        if verdict.guard not in run.alarmed:
            run = replace(run, alarmed=(*run.alarmed, verdict.guard))
            sentence = verdict.sentence or f"{verdict.guard} is degraded"
            run, told = tell(run, NoticeKind.DEGRADED, f"{growth.named(run)} at {run.stage_name}: {sentence}")
            effects = (*effects, *told)
    return run, effects


def _hold(run: Run, sight: Sight) -> Outcome:
    """Hold, or stay held. A paused run stays a person's.

    Another kind of reason is said at once, and is news to whoever acknowledged the one before; nobody who waits to be
    called waits longer because reasons take turns.
    """
    why = sight.holds
    if why is None or run.phase is Phase.PAUSED:
        return run, ()
    if run.held is not None and run.held.kind is why.kind:
        guards = tuple(dict.fromkeys((*run.held.guards, *why.guards)))
        return replace(run, held=replace(run.held, guards=guards)), ()
    sentence = f"{growth.named(run)} is held at {run.stage_name} ({growth.percent(run)}): {why.sentence}"
    is_waited_for = run.held is not None and run.need is not None and not run.need.acknowledged_by
    run, need = replace(run, phase=Phase.HELD, held=why), run.need
    if not is_waited_for or need is None:
        return call_person(run, NoticeKind.HELD, sentence)
    return tell(replace(run, need=replace(need, sentence=sentence)), NoticeKind.HELD, sentence)


def _running(run: Run, tick: Tick, sight: Sight, elapsed_ms: int) -> Outcome:
    return growth.run_on(run, tick, elapsed_ms, is_healthy=sight.is_healthy)


def _watching(run: Run, tick: Tick, _sight: Sight, elapsed_ms: int) -> Outcome:
    return growth.watch_on(run, tick, elapsed_ms)


def _held(run: Run, _tick: Tick, _sight: Sight, _elapsed_ms: int) -> Outcome:
    """Nothing holds it any longer. The time since the last tick was held, so the next tick is the first to count."""
    return replace(run, phase=going(run), held=None, need=None), ()


def _standing(run: Run, _tick: Tick, _sight: Sight, _elapsed_ms: int) -> Outcome:
    """A person is waited for: one who approves, or one who resumes."""
    return run, ()


_GOING: dict[Phase, Going] = {
    Phase.RUNNING: _running,
    Phase.WATCHING: _watching,
    Phase.HELD: _held,
    Phase.PAUSED: _standing,
    Phase.AWAITING_APPROVAL: _standing,
}
