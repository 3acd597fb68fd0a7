"""Telling people: at once, and then one step of the escalation after another until somebody acknowledges.

A message goes to the channels of the escalation's steps that are due at once; what needs a person goes to the later
ones too, as time passes. Times are sums of ticks: an outage of the server delays a page, a clock that jumps sends none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.domain.machine.effects import Notify
from rollout_server.domain.machine.run import Need, Notice, NoticeKind, Run

if TYPE_CHECKING:
    from rollout_server.domain.machine.effects import Outcome
    from rollout_server.domain.rollouts import Escalation


def tell(run: Run, kind: NoticeKind, sentence: str) -> Outcome:
    """Say something that needs nobody to act."""
    channels = tuple(step.channel for step in _steps(run) if step.after_ms <= 0)
    return _notify(run, kind, sentence, channels)


def call_person(run: Run, kind: NoticeKind, sentence: str) -> Outcome:
    """Say that a person is needed, and go on saying so to more people until one acknowledges."""
    due = tuple(step.channel for step in _steps(run) if step.after_ms <= 0)
    fresh = replace(run, need=Need(kind, sentence, told=len(due)), progress=replace(run.progress, waited_ms=0))
    return _notify(fresh, kind, sentence, due)


def escalate(run: Run, elapsed_ms: int) -> Outcome:
    """Tell those whose time has come. `elapsed_ms` is what this tick adds."""
    need, steps = run.need, _steps(run)
    if need is None or need.acknowledged_by or need.told >= len(steps):
        return run, ()
    waited_ms = min(run.progress.waited_ms + elapsed_ms, steps[-1].after_ms)
    due = tuple(step.channel for step in steps[need.told :] if step.after_ms <= waited_ms)
    run = replace(run, progress=replace(run.progress, waited_ms=waited_ms))
    if not due:
        return run, ()
    return _notify(replace(run, need=replace(need, told=need.told + len(due))), need.kind, need.sentence, due)


def _steps(run: Run) -> list[Escalation]:
    return sorted(run.pipeline.escalation, key=lambda step: step.after_ms)


def _notify(run: Run, kind: NoticeKind, sentence: str, channels: tuple[str, ...]) -> Outcome:
    serial = run.notice_count + 1
    notice = Notice(f"{run.rollout}/{run.number}/{serial}", kind, sentence, channels)
    return replace(run, notice_count=serial), (Notify(notice),)
