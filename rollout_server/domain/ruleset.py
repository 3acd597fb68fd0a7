"""What SDKs receive, made from what the journal holds: specs and statuses joined, owners and raw keys left behind."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import Cohort, Flag, FlagState, Ruleset
from rollout_sdk.engine.sameness import same
from rollout_server.domain.guardrails.spec import MetricSpec, Source
from rollout_server.domain.resources import CohortSpec, FlagSpec, FlagStatus, Kind, ResourceId
from rollout_server.domain.rollout_states import rollout_states

_MOVERS = frozenset({Kind.FLAG, Kind.ROLLOUT})
"""Kinds that the state of a rollout is made of: the flag says whose buckets count."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.model import RolloutState
    from rollout_server.domain.journal import State
    from rollout_server.domain.resources import Resource


def ruleset_of(state: State, previous: tuple[State, Ruleset] | None = None) -> Ruleset:
    """Return the ruleset of a state.

    Args:
        state: any state; tokens are left out.
        previous: another state with its ruleset. What did not change since is shared with it, object for object, so
            that a revision costs what it changes: hashing a cohort of a million keys takes more than a second.
    """
    flags: dict[str, Flag] = {}
    cohorts: dict[str, Cohort] = {}
    states: dict[str, FlagState] = {}
    versions: dict[str, int] = {}
    for id_, resource in state.resources.items():
        known, ruleset = (previous[0].resources.get(id_), previous[1]) if previous else (None, None)
        if id_.kind is Kind.FLAG:
            status = _flag_status(resource)
            flag = ruleset.flags.get(id_.key) if ruleset and known and _same_flag(known, resource) else None
            flags[id_.key] = flag or flag_of(resource)
            states[id_.key] = FlagState(id_.key, killed=status.killed)
            versions[id_.key] = resource.version
        elif id_.kind is Kind.COHORT:
            cohort = ruleset.cohorts.get(id_.key) if ruleset else None
            cohorts[id_.key] = cohort_of(resource, (known, cohort) if known and cohort else None)
    return Ruleset(
        position=state.position,
        flags=MappingProxyType(flags),
        cohorts=MappingProxyType(cohorts),
        states=MappingProxyType(states),
        versions=MappingProxyType(versions),
        rollouts=_rollouts(state, previous[1].rollouts if previous else {}),
        metrics=_metrics(state),
    )


def ruleset_after(
    ruleset: Ruleset, before: State, after: State, changed: Iterable[ResourceId], hashed: tuple[State, Ruleset] | None
) -> Ruleset:
    """Return the ruleset of a state from that of an earlier one, at the price of what changed in between.

    Args:
        ruleset: of `before`.
        before: a state.
        after: a later one of the same history.
        changed: every resource that may differ between them.
        hashed: a state that was planned, with its ruleset: cohorts that came as planned are not hashed again.
    """
    flags, cohorts = dict(ruleset.flags), dict(ruleset.cohorts)
    states, versions = dict(ruleset.states), dict(ruleset.versions)
    rollouts_may_differ = metrics_may_differ = False
    for id_ in changed:
        rollouts_may_differ |= id_.kind in _MOVERS
        metrics_may_differ |= id_.kind is Kind.METRIC
        resource = after.resources.get(id_)
        if resource is None:
            for made in {Kind.FLAG: (flags, states, versions), Kind.COHORT: (cohorts,)}.get(id_.kind, ()):
                made.pop(id_.key, None)
        elif id_.kind is Kind.FLAG:
            known = before.resources.get(id_)
            is_same = known is not None and id_.key in flags and _same_flag(known, resource)
            flags[id_.key] = flags[id_.key] if is_same else flag_of(resource)
            states[id_.key] = FlagState(id_.key, killed=_flag_status(resource).killed)
            versions[id_.key] = resource.version
        elif id_.kind is Kind.COHORT:
            cohorts[id_.key] = cohort_of(resource, _nearest(resource, hashed, (before, ruleset)))
    return Ruleset(
        position=after.position,
        flags=MappingProxyType(flags),
        cohorts=MappingProxyType(cohorts),
        states=MappingProxyType(states),
        versions=MappingProxyType(versions),
        rollouts=_rollouts(after, ruleset.rollouts) if rollouts_may_differ else ruleset.rollouts,
        metrics=_metrics(after) if metrics_may_differ else ruleset.metrics,
    )


def _rollouts(state: State, known: Mapping[str, RolloutState]) -> Mapping[str, RolloutState]:
    """Return every rollout's state, the known object where it is the same."""
    found = {}
    for made in rollout_states(state.resources):
        old = known.get(made.rollout)
        found[made.rollout] = old if old is not None and same(old, made) else made
    return MappingProxyType(found)


def _metrics(state: State) -> Mapping[str, MetricDeclaration]:
    """Return every metric that processes record."""
    specs = {id_.key: resource.spec for id_, resource in state.resources.items() if id_.kind is Kind.METRIC}
    return MappingProxyType(
        {
            key: MetricDeclaration(key, Measures(spec.measures.value), Per(spec.per.value), spec.late_ms)
            for key, spec in specs.items()
            if isinstance(spec, MetricSpec) and spec.source is Source.SDK
        }
    )


def flag_of(resource: Resource) -> Flag:
    """Join a flag's spec and status.

    Raises:
        TypeError: the resource is no flag, or has no status as every resource of a state has.
    """
    spec = resource.spec
    if not isinstance(spec, FlagSpec):
        raise TypeError(f"{resource.id} holds no flag")
    return Flag(
        key=resource.metadata.key,
        type=spec.type,
        variants=spec.variants,
        off=spec.off,
        default=spec.default,
        salt=_flag_status(resource).salt,
        unit=spec.unit,
        never=spec.never,
        requires=spec.requires,
        targets=spec.targets,
        rules=spec.rules,
    )


def cohort_of(resource: Resource, previous: tuple[Resource, Cohort] | None = None) -> Cohort:
    """Hash a cohort's keys; lists that are those of `previous` are taken over from it.

    Raises:
        TypeError: the resource is no cohort.
    """
    spec = resource.spec
    if not isinstance(spec, CohortSpec):
        raise TypeError(f"{resource.id} holds no cohort")
    known, cohort = previous or (None, None)
    old = known.spec if known else None
    if cohort is None or not isinstance(old, CohortSpec):
        return Cohort(resource.metadata.key, key_set(spec.include), key_set(spec.exclude), spec.unit, spec.when)
    if spec is old:
        return cohort
    include = cohort.include if old.include == spec.include else key_set(spec.include)
    exclude = cohort.exclude if old.exclude == spec.exclude else key_set(spec.exclude)
    return Cohort(resource.metadata.key, include, exclude, spec.unit, spec.when)


def flag_id(key: str) -> ResourceId:
    """Name a flag."""
    return ResourceId(Kind.FLAG, key)


def cohort_id(key: str) -> ResourceId:
    """Name a cohort."""
    return ResourceId(Kind.COHORT, key)


def _nearest(resource: Resource, *known: tuple[State, Ruleset] | None) -> tuple[Resource, Cohort] | None:
    """The first known cohort of this key that was made of the very same spec, else the last known of this key."""
    nearest = None
    for pair in known:
        other = pair[0].resources.get(resource.id) if pair else None
        cohort = pair[1].cohorts.get(resource.id.key) if pair else None
        if other is not None and cohort is not None:
            nearest = (other, cohort)
            if other.spec is resource.spec:
                break
    return nearest


def _flag_status(resource: Resource) -> FlagStatus:
    if not isinstance(resource.status, FlagStatus):
        raise TypeError(f"{resource.id} has no status")
    return resource.status


def _same_flag(known: Resource, resource: Resource) -> bool:
    """Identity, not equality: True equals 1, and a flag's values must not be mixed up."""
    return known.spec is resource.spec and _flag_status(known).salt == _flag_status(resource).salt
