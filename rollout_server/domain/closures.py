"""What a run's reach depends on besides its own stages, each with a mark of its content (docs/adr/0015).

Editing any of it while the run exposes somebody opens a new allocation, in the entry of the edit: arms are compared
within one allocation only, so that an edited cohort is never weighed against itself before the edit.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.writer import write
from rollout_server.domain.graph import names_of
from rollout_server.domain.journal import Change
from rollout_server.domain.machine import ClosureEdited, Phase, step
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.resources import Resource, Spec

Closure = tuple[tuple[str, str], ...]

_DECIDING = frozenset({Kind.FLAG, Kind.COHORT, Kind.ROLLOUT})
_MARK_CHARACTERS = 16
_REMEMBERED_MAX = 8_192

_digests: dict[int, tuple[Spec, str]] = {}
"""By identity, with the spec itself so that the number cannot come to mean another: a million keys are hashed once."""


def closure_of(resources: Mapping[ResourceId, Resource], rollout: ResourceId) -> Closure:
    """Return what the reach of a rollout's units depends on, in order of name.

    Its flag, its own `never`, the cohorts these and the stages name, prerequisites at any remove, and how far the
    rollouts of prerequisites are.

    Args:
        resources: of one state.
        rollout: one of them.
    """
    found: dict[str, str] = {}
    waiting = [rollout]
    while waiting:
        id_ = waiting.pop()
        resource = resources.get(id_)
        if str(id_) in found or resource is None:
            continue
        found[str(id_)] = _mark(resource, is_own=id_ == rollout)
        waiting += [name for name in names_of(resource) if name.kind in _DECIDING]
    return tuple(sorted(found.items()))


def flag_mark(flag: Resource) -> str:
    """Return the mark of a flag's content: equal where two environments hold the same rules, neither of them killed."""
    return _mark(flag, is_own=False)


def reopened(resources: Mapping[ResourceId, Resource], by: str, at_ms: int) -> dict[ResourceId, Resource]:
    """Return the rollouts whose run must open a new allocation because of an edit, with their new status.

    Args:
        resources: as the entry would leave them.
        by: who edits.
        at_ms: wall clock.
    """
    after: dict[ResourceId, Resource] = {}
    is_settled = False
    while not is_settled:  # an allocation that opens is itself an edit for whoever requires that flag
        is_settled = True
        present = {**resources, **after} if after else resources
        for id_, rollout, status in _standing(present):
            closure = closure_of(present, id_)
            was = cast("RolloutStatus", resources[id_].status)
            if status.run is None or was.run is None or closure == status.run.closure:
                continue
            # From the run as it was: however far the edit reaches it, one entry opens one allocation.
            run, _ = step(was.run, ClosureEdited(by, at_ms, closure))
            after[id_] = replace(rollout, status=replace(status, run=run))
            is_settled = False
    return after


def with_reopened(
    resources: Mapping[ResourceId, Resource], changes: tuple[Change, ...], by: str, at_ms: int
) -> tuple[Change, ...]:
    """Return an entry's changes and the new allocations that they open.

    Args:
        resources: of the state before.
        changes: of the entry.
        by: who makes them.
        at_ms: wall clock.
    """
    present = dict(resources)
    for change in changes:
        if change.after is None:
            present.pop(change.id, None)
        else:
            present[change.id] = change.after
    more = reopened(present, by, at_ms)
    kept = tuple(change for change in changes if change.id not in more)
    return (*kept, *(Change(id_, resource) for id_, resource in sorted(more.items(), key=lambda item: str(item[0]))))


def _standing(resources: Mapping[ResourceId, Resource]) -> Iterator[tuple[ResourceId, Resource, RolloutStatus]]:
    for id_ in sorted((id_ for id_ in resources if id_.kind is Kind.ROLLOUT), key=str):
        status = resources[id_].status
        run = status.run if isinstance(status, RolloutStatus) else None
        if run is not None and not run.is_finished and run.phase not in {Phase.ROLLED_BACK, Phase.CANCELLED}:
            yield id_, resources[id_], cast("RolloutStatus", status)


def _mark(resource: Resource, *, is_own: bool) -> str:
    status = resource.status
    if isinstance(resource.spec, RolloutSpec):
        never = _digest({"never": _written(resource).get("never")})
        run = status.run if isinstance(status, RolloutStatus) and not is_own else None
        return f"{never} {run.number}.{run.allocation}.{run.phase.value}" if run else never
    killed = isinstance(status, FlagStatus) and status.killed
    known = _digests.get(id(resource.spec))
    if known is None:
        if len(_digests) >= _REMEMBERED_MAX:
            _digests.clear()
        known = _digests[id(resource.spec)] = (resource.spec, _digest(_written(resource)))
    return f"{known[1]} killed" if killed else known[1]


def _written(resource: Resource) -> Mapping[str, Json]:
    spec = write(resource).get("spec")
    return spec if isinstance(spec, dict) else {}


def _digest(tree: Mapping[str, Json]) -> str:
    return sha256(canonical_json(dict(tree))).hexdigest()[:_MARK_CHARACTERS]
