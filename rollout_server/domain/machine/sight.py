"""What one tick sees of a run's guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine.events import Judged
from rollout_server.domain.machine.run import Guard, Held, HeldKind, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSEEN = {Standing.BLIND: HeldKind.BLIND, Standing.SKEWED: HeldKind.SKEWED}


@dataclass(frozen=True, slots=True)
class Sight:
    """What the verdicts of one tick come to.

    Attributes:
        broken: the first degraded verdict whose guard rolls back; None when there is none.
        unseen: a guard is blind or skewed.
        holds: why the engine must wait; None when it need not.
        alarms: degraded verdicts whose guard only notifies.
        is_healthy: every guard that blames and can judge is healthy, and there is one.
    """

    broken: Judged | None
    unseen: bool
    holds: Held | None
    alarms: tuple[Judged, ...]
    is_healthy: bool


def look(run: Run, verdicts: Sequence[Judged]) -> Sight:
    """Sort the verdicts of a tick by what they ask for.

    A guard without a verdict is blind. In the finish, where no control is left, only absolute guards can hold; one that
    is degraded rolls back wherever the run is, for its evidence may come from a window before.
    """
    said = [(guard, verdict) for guard in run.guards for verdict in _of(guard, verdicts)]
    degraded = [(guard, verdict) for guard, verdict in said if verdict.standing is Standing.DEGRADED]
    judging = [(guard, verdict) for guard, verdict in said if run.stage is not None or guard.is_absolute]
    blaming = [
        verdict.standing
        for guard, verdict in said
        if guard.action is not Action.NOTIFY and verdict.standing is not Standing.UNJUDGED
    ]
    return Sight(
        broken=next((verdict for guard, verdict in degraded if guard.action is Action.ROLLBACK), None),
        unseen=any(verdict.standing in _UNSEEN for _, verdict in judging),
        holds=_holds(judging),
        alarms=tuple(verdict for guard, verdict in degraded if guard.action is Action.NOTIFY),
        is_healthy=bool(blaming) and all(kind is Standing.HEALTHY for kind in blaming),
    )


def _of(guard: Guard, verdicts: Sequence[Judged]) -> Sequence[Judged]:
    """All that was said under a guard's name: two verdicts both count, so that no order of them hides the worse."""
    said = [verdict for verdict in verdicts if verdict.guard == guard.name]
    return said or [Judged(guard.name, Standing.BLIND, f"{guard.name} has no verdict")]


def _holds(judging: Sequence[tuple[Guard, Judged]]) -> Held | None:
    reasons = [(kind, verdict) for guard, verdict in judging for kind in _reasons(guard, verdict)]
    for kind in HeldKind:  # the gravest first
        verdicts = [verdict for reason, verdict in reasons if reason is kind]
        if verdicts:
            names = tuple(dict.fromkeys(verdict.guard for verdict in verdicts))
            return Held(kind, names, verdicts[0].sentence or f"{names[0]} is {kind.value}")
    return None


def _reasons(guard: Guard, verdict: Judged) -> list[HeldKind]:
    reasons = [_UNSEEN[verdict.standing]] if verdict.standing in _UNSEEN else []
    if verdict.standing is Standing.DEGRADED and guard.action is Action.HOLD:
        reasons.append(HeldKind.DEGRADED)
    if verdict.hold:
        reasons.append(HeldKind.OUTAGE)
    return reasons
