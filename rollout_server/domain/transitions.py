"""What a step of the machine writes: the run, and with it in the same entry all that SDKs see of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import All, Any, ByRollout, Not, Rule, Serve
from rollout_server.domain.closures import with_reopened
from rollout_server.domain.journal import Change
from rollout_server.domain.machine import FlagOff, Phase, WriteFinalVariant
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Condition
    from rollout_server.domain.machine.effects import Outcome
    from rollout_server.domain.resources import Evidence, Resource


def changes_of(
    resources: Mapping[ResourceId, Resource],
    rollout: Resource,
    outcome: Outcome,
    *,
    by: str,
    at_ms: int,
    verdicts: Evidence | None = None,
) -> tuple[Change, ...]:
    """Return what one entry must write so that the run is as the step left it.

    Args:
        resources: of the state before.
        rollout: whose run it is; it has a status, as all resources of a state have.
        outcome: of the step.
        by: who made it.
        at_ms: wall clock.
        verdicts: what the step rested on; None leaves those that stand.
    """
    run, effects = outcome
    status = rollout.status
    if not isinstance(status, RolloutStatus):
        raise TypeError(f"{rollout.id} has no status of a rollout")
    status = replace(status, run=run, verdicts=status.verdicts if verdicts is None else verdicts)
    flag_id = ResourceId(Kind.FLAG, run.flag)
    before = resources.get(flag_id)
    flag = before
    for effect in effects:
        match effect:
            case FlagOff() if flag is not None:
                flag = killed(flag)
            case WriteFinalVariant(variant=variant) if flag is not None and run.phase is Phase.ROLLED_BACK:
                flag = taken_back(flag, status.rules, variant)
            case WriteFinalVariant(variant=variant) if flag is not None:
                status = replace(status, rules=rules_of(flag, rollout.metadata.key))
                flag = finished(flag, rollout, variant)
            case _:
                pass
    edited = () if flag is before else (Change(flag_id, flag),)
    return with_reopened(resources, (*edited, Change(rollout.id, replace(rollout, status=status))), by, at_ms)


def killed(flag: Resource) -> Resource:
    """Return the flag serving its off variant to everybody."""
    if not isinstance(flag.status, FlagStatus):
        return flag
    return replace(flag, status=replace(flag.status, killed=True))


def finished(flag: Resource, rollout: Resource, variant: str) -> Resource:
    """Return the flag serving the final variant where the rollout's rule stood.

    Whom the rollout's `never` held keeps `from`: finishing exposes nobody whom no stage would have.
    """
    spec, moved = flag.spec, rollout.spec
    if not isinstance(spec, FlagSpec) or not isinstance(moved, RolloutSpec):
        return flag
    rules: list[Rule] = []
    for rule in spec.rules:
        if not isinstance(rule.outcome, ByRollout) or rule.outcome.rollout != rollout.metadata.key:
            rules.append(rule)
            continue
        held = moved.never
        rules.append(replace(rule, when=_without(rule.when, held), outcome=Serve(variant)))
        if held:
            rest = _free_id(f"{rule.id}-never", {one.id for one in spec.rules})
            rules.append(replace(rule, id=rest, outcome=Serve(moved.from_variant)))
    return replace(flag, spec=replace(spec, rules=tuple(rules)))


def taken_back(flag: Resource, rules: tuple[str, ...], variant: str) -> Resource:
    """Return the flag serving `variant` where finishing had written the final one; rules edited away stay away."""
    spec = flag.spec
    if not isinstance(spec, FlagSpec):
        return flag
    after = tuple(
        replace(rule, outcome=Serve(variant)) if rule.id in rules and isinstance(rule.outcome, Serve) else rule
        for rule in spec.rules
    )
    return replace(flag, spec=replace(spec, rules=after))


def _without(when: Condition | None, never: tuple[Condition, ...]) -> Condition | None:
    """Whoever `when` holds and `never` neither holds nor might hold."""
    if not never:
        return when
    outside = Not(Any(never))
    return outside if when is None else All((when, outside))


def _free_id(wanted: str, taken: set[str]) -> str:
    return next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def rules_of(flag: Resource, rollout: str) -> tuple[str, ...]:
    """Return the ids of the flag's rules that leave their answer to a rollout."""
    rules = flag.spec.rules if isinstance(flag.spec, FlagSpec) else ()
    return tuple(rule.id for rule in rules if isinstance(rule.outcome, ByRollout) and rule.outcome.rollout == rollout)
