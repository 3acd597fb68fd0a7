"""Who names whom in an environment, before a change and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.references import cohorts_in, cohorts_of, reached, turned
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind, ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollout_server.domain.journal import State
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
        self._users = turned(self._names)

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

    def ground(self, changed: Iterable[ResourceId], named: Iterable[ResourceId]) -> set[ResourceId]:
        """Return all that a plan rests on: what changes, all that stands on it, and all that these stand on."""
        return reached(reached(changed, self._users), self._names) | set(named)


def names_of(resource: Resource) -> Iterator[ResourceId]:
    """Yield what a resource names, existing or not."""
    if isinstance(resource.spec, FlagSpec):
        for requirement in resource.spec.requires:
            yield ResourceId(Kind.FLAG, requirement.flag)
        for key in cohorts_of(resource.spec.never, resource.spec.rules):
            yield ResourceId(Kind.COHORT, key)
    elif isinstance(resource.spec, CohortSpec):
        for key in cohorts_in(resource.spec.when):
            yield ResourceId(Kind.COHORT, key)


def _verb(user: ResourceId, name: ResourceId) -> str:
    return "requires" if user.kind is Kind.FLAG and name.kind is Kind.FLAG else "uses"
