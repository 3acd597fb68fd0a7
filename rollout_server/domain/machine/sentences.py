"""Why a run is where it is, in one sentence: the same in `status`, `describe`, console and notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain.machine.growth import is_at_full_share, named, percent
from rollout_server.domain.machine.run import Phase, approvers

if TYPE_CHECKING:
    from rollout_server.domain.machine.run import Act, Run

_WAITS = {
    "exposed": "enough exposed units",
    "healthy": "healthy guardrails",
    "approval": "approval",
    "thaw": "the thaw",
    "turn": "its turn after the thaw",
}
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def sentence(run: Run) -> str:
    """Return what a run is doing and what it waits for."""
    where = f"{named(run)} at {run.stage_name} ({percent(run)})" if run.entered else named(run)
    match run.phase:
        case Phase.SCHEDULED:
            return f"{where} has not started"
        case Phase.RUNNING | Phase.WATCHING:
            return f"{where} {_waits(run)}"
        case Phase.HELD:
            return f"{where} is held: {run.held.sentence}" if run.held else f"{where} is held"
        case Phase.PAUSED:
            return f"{where} is paused{_by(run.paused)}"
        case Phase.AWAITING_APPROVAL:
            return f"{where} waits for approval{_given(run)}"
        case Phase.COMPLETED:
            return f"{where} is {'finished' if run.is_finished else 'completed'}"
        case Phase.ROLLED_BACK | Phase.CANCELLED:
            by = f" by {run.end.who}" if run.end else ""
            why = f": {run.end.why}" if run.end and run.end.why else ""
            return f"{where if run.phase is Phase.ROLLED_BACK else named(run)} was {run.phase.value}{by}{why}"


def duration(length_ms: int) -> str:
    """Return a length of time as files write it, in its two largest units: "1h30m"."""
    parts = []
    rest_ms = length_ms
    for name, size_ms in _UNITS:
        count, rest_ms = divmod(rest_ms, size_ms)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts[:2]) or "0m"


def _waits(run: Run) -> str:
    progress, stage = run.progress, run.stage
    soak_ms = run.pipeline.finish.watch_ms if stage is None else stage.soak_ms
    verb = "watched" if stage is None else "soaked"
    words = [_WAITS[word] for word in progress.waits_for if word in _WAITS]
    if stage is not None and not is_at_full_share(run):
        done = f"ramps to {stage.share_ppm / 10_000:g} %: {_of(progress.ramp_ms, stage.ramp_ms)}"
    else:
        done = f"has {verb} {_of(progress.soak_ms, soak_ms)}"
    return f"{done}, waits for {' and '.join(words)}" if words else done


def _of(done_ms: int, whole_ms: int) -> str:
    """Return "1h30m of 4h"; what is done is told in whole seconds, for it is a sum of ticks."""
    return f"{duration(done_ms // 1_000 * 1_000)} of {duration(whole_ms)}"


def _by(act: Act | None) -> str:
    if act is None:
        return ""
    return f" by {act.who}: {act.why}" if act.why else f" by {act.who}"


def _given(run: Run) -> str:
    approval = run.stage.exit.approval if run.stage else None
    if approval is None:
        return ""
    return f" from {approval.group}: {len(approvers(run))} of {approval.count} given"
