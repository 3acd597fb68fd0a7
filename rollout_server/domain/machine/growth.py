"""Entering stages, ramping within them, and leaving them. Only here does a run's reach become larger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.domain.machine.notices import call_person, tell
from rollout_server.domain.machine.run import (
    RAMP_STEPS_MAX,
    End,
    Entered,
    NoticeKind,
    Phase,
    Run,
    Trigger,
    approvers,
    audience_of,
    lacks_approval,
)

if TYPE_CHECKING:
    from rollout_server.domain.machine.effects import Outcome
    from rollout_server.domain.machine.events import Tick
    from rollout_server.domain.rollouts import Approval

_PPM_PER_PERCENT = 10_000


def enter(run: Run, place: int, at_ms: int) -> Run:
    """Return the run in another place: fresh soak, a new allocation, nothing held and nobody needed.

    Args:
        run: any that is not over.
        place: beyond the current one; the number of stages is the finish.
        at_ms: wall clock, written down.
    """
    run = replace(run, entered=(*run.entered, Entered(place, 1, 0)))
    if run.stage is None:
        finish = run.pipeline.finish
        share_ppm = finish.share_ppm
        phase = Phase.WATCHING if finish.watch_ms > 0 else Phase.COMPLETED
    else:
        share_ppm = _share_ppm(run, 1)
        phase = Phase.RUNNING
    run = replace(run, entered=(*run.entered[:-1], Entered(place, 1, share_ppm)), grown_at_ms=at_ms)
    run = stand(run, phase)
    return complete(run, at_ms) if phase is Phase.COMPLETED else run


def back_to(run: Run, place: int) -> Run:
    """Return the run in a stage that it entered before: later ones are left, what they were approved for is void."""
    entered = tuple(one for one in run.entered if one.place <= place)
    void = {run.name_of(later) for later in range(place, len(run.pipeline.stages))}
    kept = tuple(given for given in run.approvals if given.stage not in void)
    run = stand(replace(run, entered=entered, approvals=kept), Phase.RUNNING)
    return replace(run, progress=replace(run.progress, ramp_ms=_ramp_ms_of(run)))


def stand(run: Run, phase: Phase) -> Run:
    """Return the run at the beginning of the place it is in, in a new allocation."""
    progress = replace(run.progress, soak_ms=0, ramp_ms=0, waited_ms=0, waits_for=())
    return replace(run, phase=phase, allocation=run.allocation + 1, held=None, need=None, alarmed=(), progress=progress)


def complete(run: Run, at_ms: int) -> Run:
    """Return the run completed; its reach stands until somebody finishes it."""
    end = End(Trigger.DONE, "engine", "every stage was passed", at_ms, run.stage_name)
    return replace(run, phase=Phase.COMPLETED, end=end, held=None, need=None)


def run_on(run: Run, tick: Tick, elapsed_ms: int, *, is_healthy: bool) -> Outcome:
    """Let a running stage ramp, soak, and be left when all it asks for is met.

    Args:
        run: running, seen by all its guards and held by none.
        tick: forward in time.
        elapsed_ms: what this tick adds, clamped.
        is_healthy: the guards that blame are.
    """
    stage = run.stage
    if stage is None:  # the finish has no stage, and is never running
        return run, ()
    may_grow = tick.may_grow and not tick.is_frozen
    if run.entered[-1].step < _steps(run):
        return _ramp(run, tick, elapsed_ms if may_grow else 0, may_grow=may_grow), ()
    soak_ms = min(run.progress.soak_ms + elapsed_ms, stage.soak_ms)
    missing = tuple(
        word
        for word, is_missing in (
            ("soak", soak_ms < stage.soak_ms),
            ("exposed", tick.exposed_units < stage.exit.exposed),
            ("healthy", stage.exit.is_healthy and not is_healthy),
        )
        if is_missing
    )
    waits_for = missing or _not_now(tick)
    run = replace(run, progress=replace(run.progress, soak_ms=soak_ms, waits_for=waits_for))
    if missing:
        return run, ()
    if stage.exit.approval is not None and lacks_approval(run):
        return _await(run, stage.exit.approval)
    return (run, ()) if waits_for else advance(run, tick.now_ms)


def advance(run: Run, at_ms: int) -> Outcome:
    """Enter the next place, and say so."""
    run = enter(run, run.place + 1, at_ms)
    if run.phase is Phase.COMPLETED:
        return tell(run, NoticeKind.COMPLETED, completed_sentence(run))
    return tell(run, NoticeKind.ADVANCED, f"{named(run)} entered {run.stage_name} at {percent(run)}")


def watch_on(run: Run, tick: Tick, elapsed_ms: int) -> Outcome:
    """Add to the watch after the last stage, and complete the run when it is over. Completing exposes nobody."""
    watch_ms = run.pipeline.finish.watch_ms
    soak_ms = min(run.progress.soak_ms + elapsed_ms, watch_ms)
    waits_for = ("soak",) if soak_ms < watch_ms else ()
    run = replace(run, progress=replace(run.progress, soak_ms=soak_ms, waits_for=waits_for))
    if waits_for:
        return run, ()
    run = complete(run, tick.now_ms)
    return tell(run, NoticeKind.COMPLETED, completed_sentence(run))


def named(run: Run) -> str:
    """Return what sentences call a run."""
    return f"{run.rollout} run {run.number}"


def percent(run: Run) -> str:
    """Return the share of the place that the run is in, as people write it."""
    whole, rest = divmod(run.entered[-1].share_ppm, _PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def completed_sentence(run: Run) -> str:
    """Return how a run says that it is completed."""
    return f"{named(run)} is completed at {percent(run)}; `rollout finish` writes {run.to_variant} into {run.flag}"


def _ramp(run: Run, tick: Tick, added_ms: int, *, may_grow: bool) -> Run:
    length_ms, steps = run.stage.ramp_ms if run.stage else 0, _steps(run)
    ramp_ms = min(run.progress.ramp_ms + added_ms, length_ms)
    step = 1 + ramp_ms * (steps - 1) // length_ms
    waits_for = ("ramp",) if may_grow else _not_now(tick)
    run = replace(run, progress=replace(run.progress, ramp_ms=ramp_ms, waits_for=waits_for))
    current = run.entered[-1]
    if step <= current.step:
        return run
    entered = (*run.entered[:-1], Entered(current.place, step, _share_ppm(run, step)))
    return replace(run, entered=entered, allocation=run.allocation + 1, grown_at_ms=tick.now_ms)


def _not_now(tick: Tick) -> tuple[str, ...]:
    if tick.is_frozen:
        return ("thaw",)
    return () if tick.may_grow else ("turn",)


def _await(run: Run, approval: Approval) -> Outcome:
    missing = approval.count - len(approvers(run))
    sentence = (
        f"{named(run)} at {run.stage_name} ({percent(run)}) waits for {missing} more "
        f"approval{'s' if missing > 1 else ''} from {approval.group}"
    )
    progress = replace(run.progress, waits_for=("approval",))
    waiting = replace(run, phase=Phase.AWAITING_APPROVAL, progress=progress)
    return call_person(waiting, NoticeKind.AWAITING_APPROVAL, sentence)


def _base_ppm(run: Run) -> int:
    """The share that all of the stage's audience has already: what its ramp starts from."""
    audience = audience_of(run, run.place)
    return max(
        (one.share_ppm for one in run.entered[:-1] if audience_of(run, one.place) in (None, audience)),
        default=0,
    )


def _steps(run: Run) -> int:
    """Equal steps of the ramp; each exposes somebody."""
    stage = run.stage
    if stage is None or stage.ramp_ms <= 0:
        return 1
    return max(1, min(RAMP_STEPS_MAX, stage.share_ppm - _base_ppm(run)))


def _share_ppm(run: Run, step: int) -> int:
    full_ppm, base_ppm, steps = run.stage.share_ppm if run.stage else 0, _base_ppm(run), _steps(run)
    return full_ppm if step >= steps else base_ppm + (full_ppm - base_ppm) * step // steps


def is_at_full_share(run: Run) -> bool:
    """Whether the ramp of the stage that the run is in is over; soak counts from then on."""
    return bool(run.entered) and run.entered[-1].step >= _steps(run)


def _ramp_ms_of(run: Run) -> int:
    """The least time in the ramp at which the run stands on the step that it stands on."""
    steps = _steps(run)
    if run.stage is None or steps == 1:
        return 0
    return -(-(run.entered[-1].step - 1) * run.stage.ramp_ms // (steps - 1))
