"""Who names whom in an environment, before a change and after it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import ByRollout
from rollout_sdk.engine.references import cohorts_in, cohorts_of, reached, turned
from rollout_server.domain.machine import ENDED, reaches
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, PolicySpec, RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollout_server.domain.journal import State
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Resource


class Graph:
    """References of two states together: what is named by either."""

    def __init__(self, before: State, after: State) -> None:
        self._names: dict[ResourceId, set[ResourceId]] = {}
        for id_, resource in before.resources.items():
            self._names[id_] = set(names_of(resource))
        for id_, resource in after.resources.items():
            if before.resources.get(id_) is not resource:
                self._names.setdefault(id_, set()).update(names_of(resource))
        self._add_groups(before, after)
        self._users = turned(self._names)

    def _add_groups(self, before: State, after: State) -> None:
        """A group has no document of its own: who names it names the policies that say who is in it."""
        policies: dict[str, set[ResourceId]] = {}
        for state in (before, after):
            for id_, resource in state.resources.items():
                if isinstance(resource.spec, PolicySpec):
                    for name, _ in resource.spec.groups:
                        policies.setdefault(name, set()).add(id_)
        for state in (before, after) if policies else ():
            for id_, resource in state.resources.items():
                for name in groups_of(resource):
                    self._names[id_] |= policies.get(name, set()) - {id_}

    def users(self, id_: ResourceId) -> list[ResourceId]:
        """Return what names it directly, in order."""
        return sorted(self._users.get(id_, ()), key=str)

    def dependents(self, changed: Iterable[ResourceId]) -> Iterator[tuple[ResourceId, str]]:
        """Yield each resource that names a changed one, at any remove, with the sentence why; one for each name.

        Changed ones are not yielded themselves.
        """
        start = set(changed)
        touched = reached(start, self._users)
        for id_ in sorted(touched - start, key=str):
            for name in sorted(self._names.get(id_, set()) & touched, key=str):
                yield id_, f"{id_} {_verb(id_, name)} {name}"

    def touched(self, changed: Iterable[ResourceId]) -> set[ResourceId]:
        """Return what changes, and all that names it, at any remove."""
        return reached(changed, self._users)

    def ground(self, changed: Iterable[ResourceId], named: Iterable[ResourceId]) -> set[ResourceId]:
        """Return all that a plan rests on: what changes, all that stands on it, and all that these stand on."""
        return reached(reached(changed, self._users), self._names) | set(named)


def names_of(resource: Resource) -> Iterator[ResourceId]:
    """Yield what a resource names, existing or not."""
    match resource.spec:
        case FlagSpec() as spec:
            yield from (ResourceId(Kind.FLAG, requirement.flag) for requirement in spec.requires)
            yield from (ResourceId(Kind.COHORT, key) for key in cohorts_of(spec.never, spec.rules))
            for rule in spec.rules:
                if isinstance(rule.outcome, ByRollout):
                    yield ResourceId(Kind.ROLLOUT, rule.outcome.rollout)
        case CohortSpec() as spec:
            yield from (ResourceId(Kind.COHORT, key) for key in cohorts_in(spec.when))
        case PipelineSpec() as spec:
            yield from _names_of_pipeline(spec)
        case RolloutSpec() as spec:
            yield ResourceId(Kind.FLAG, spec.flag)
            yield ResourceId(Kind.PIPELINE, spec.pipeline)
            yield from (ResourceId(Kind.COHORT, key) for key in cohorts_of(spec.never, ()))
            if isinstance(resource.status, RolloutStatus) and resource.status.run is not None:
                yield from _names_of_run(resource.status.run)
        case _:
            pass


def _names_of_pipeline(spec: PipelineSpec) -> Iterator[ResourceId]:
    for stage in spec.stages:
        yield from (ResourceId(Kind.COHORT, key) for key in cohorts_in(stage.audience))
    yield from (ResourceId(Kind.METRIC, guardrail.metric) for guardrail in spec.guardrails)
    yield from (ResourceId(Kind.CHANNEL, step.channel) for step in spec.escalation)


def _names_of_run(run: Run) -> Iterator[ResourceId]:
    """Yield what a run's own copy of its pipeline needs for as long as it exposes anybody."""
    if run.phase in ENDED and not reaches(run):
        return
    for stage in run.pipeline.stages:
        yield from (ResourceId(Kind.COHORT, key) for key in cohorts_in(stage.audience))


def groups_of(resource: Resource) -> Iterator[str]:
    """Yield the groups of people that a resource asks to agree, existing or not."""
    match resource.spec:
        case PipelineSpec() as spec:
            yield from (stage.exit.approval.group for stage in spec.stages if stage.exit.approval is not None)
        case PolicySpec() as spec:
            yield from (approval.group for _, approval in spec.approvals)
        case _:
            pass


_VERBS = MappingProxyType(
    {
        (Kind.FLAG, Kind.FLAG): "requires",
        (Kind.FLAG, Kind.ROLLOUT): "is moved by",
        (Kind.ROLLOUT, Kind.FLAG): "moves",
        (Kind.ROLLOUT, Kind.PIPELINE): "goes through",
        (Kind.PIPELINE, Kind.METRIC): "is guarded by",
        (Kind.PIPELINE, Kind.CHANNEL): "notifies",
        (Kind.PIPELINE, Kind.POLICY): "asks people of",
        (Kind.POLICY, Kind.POLICY): "asks people of",
    }
)


def _verb(user: ResourceId, name: ResourceId) -> str:
    return _VERBS.get((user.kind, name.kind), "uses")
