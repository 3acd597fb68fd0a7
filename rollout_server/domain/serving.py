"""What a flag serves to whom, in one sentence a release manager reads in passing."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM, ByRollout, InCohort, Serve, Split
from rollout_server.domain.files import percent
from rollout_server.domain.machine import reaches
from rollout_server.domain.resources import FlagSpec, FlagStatus, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollout_sdk.engine.model import Condition, Rule
    from rollout_server.domain.resources import Resource

RULES_TOLD_MAX = 6
COHORTS_TOLD_MAX = 3
STAGES_TOLD_MAX = 2
_NONE: Mapping[str, Resource] = MappingProxyType({})


def serving(flag: Resource, rollouts: Mapping[str, Resource] = _NONE) -> str:
    """Return the sentence: "on by rule staff, on to 25% of users by rule trial, else off; needs new-cart (on)".

    The order is that of the decision: targets, rules, default. What narrows all of it comes last.

    Args:
        flag: as it stands.
        rollouts: by key, to say what they do; one that is not there is named only.

    Raises:
        TypeError: the resource is no flag.
    """
    spec = flag.spec
    if not isinstance(spec, FlagSpec):
        raise TypeError(f"{flag.id} holds no flag")
    if isinstance(flag.status, FlagStatus) and flag.status.killed:
        return f"killed: {spec.off} to everybody"
    limits = [f"needs {item.flag} ({' or '.join(item.variants)})" for item in spec.requires]
    if spec.never:
        limits.append(f"never for {_never(spec.never)}")
    return "; ".join([", ".join(_answers(spec, rollouts)), *limits])


def _never(conditions: Sequence[Condition]) -> str:
    """Return "cohort opted-out or 2 conditions": people know a cohort by its name, a condition has none."""
    cohorts = [condition.cohort for condition in conditions if isinstance(condition, InCohort)]
    others = len(conditions) - len(cohorts)
    parts = []
    if len(cohorts) > COHORTS_TOLD_MAX:
        parts.append(f"{len(cohorts)} cohorts")
    elif cohorts:
        parts.append(f"cohort {' or '.join(cohorts)}")
    if others:
        parts.append(f"{others} {'condition' if others == 1 else 'conditions'}")
    return " or ".join(parts)


def _answers(spec: FlagSpec, rollouts: Mapping[str, Resource]) -> Iterator[str]:
    is_first = True
    for target in spec.targets:
        if target.units:
            count = len(target.units)
            yield f"{target.variant} to {count} named {spec.unit}{'' if count == 1 else 's'}"
            is_first = False
    for told, rule in enumerate(spec.rules):
        if rule.when is None and isinstance(rule.outcome, Serve):
            yield _last(rule.outcome.variant, is_first=is_first)
            return
        if rule.when is None and isinstance(rule.outcome, ByRollout):
            yield f"{'' if is_first else 'else '}{_by_rollout(rule.outcome, rollouts)}"
            return
        if told == RULES_TOLD_MAX:
            left = len(spec.rules) - told
            yield f"{left} more {'rule' if left == 1 else 'rules'}"
            break
        yield _rule(rule, spec, rollouts)
        is_first = False
    yield _last(spec.default, is_first=is_first)


def _last(variant: str, *, is_first: bool) -> str:
    return f"{variant} to everybody" if is_first else f"else {variant}"


def _rule(rule: Rule, spec: FlagSpec, rollouts: Mapping[str, Resource]) -> str:
    by = "" if rule.when is None else f" by rule {rule.id}"
    match rule.outcome:
        case Serve(variant):
            return f"{variant}{by}"
        case ByRollout() as outcome:
            return f"{_by_rollout(outcome, rollouts)}{by}"
        case Split(weights):
            shares = [(weight.variant, weight.share_ppm) for weight in weights if weight.share_ppm]
            if len(shares) == 1:
                return f"{shares[0][0]} to all {spec.unit}s{by}"
            # What is not told is off: "on to 25% of users" is what people say.
            told = [f"{variant} to {percent.show(share)}" for variant, share in shares if variant != spec.off]
            return f"{' and '.join(told)} of {spec.unit}s{by}"


def _by_rollout(outcome: ByRollout, rollouts: Mapping[str, Resource]) -> str:
    """Return "on to stage staff and to 25% of everyone by rollout launch, else off"."""
    rollout = rollouts.get(outcome.rollout)
    if rollout is None or not isinstance(rollout.spec, RolloutSpec):
        return f"as rollout {outcome.rollout} says"
    run = rollout.status.run if isinstance(rollout.status, RolloutStatus) else None
    reached = reaches(run) if run is not None else ()
    if run is None or not reached:
        return f"{rollout.spec.from_variant}, as rollout {outcome.rollout} exposes nobody"
    whom = [f"to {_part(one.share_ppm)}stage {one.stage}" for one in reached if one.audience is not None]
    if len(whom) > STAGES_TOLD_MAX:
        whom = [f"to {len(whom)} stages"]
    share_ppm = max((one.share_ppm for one in reached if one.audience is None), default=0)
    if share_ppm == PPM:
        return f"{run.to_variant} to everyone by rollout {outcome.rollout}"
    if share_ppm:
        whom.append(f"to {_part(share_ppm)}everyone")
    return f"{run.to_variant} {' and '.join(whom)} by rollout {outcome.rollout}, else {run.from_variant}"


def _part(share_ppm: int) -> str:
    return "" if share_ppm == PPM else f"{percent.show(share_ppm)} of "
