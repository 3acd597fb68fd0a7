"""Look at resources, now or at any kept point of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.references import turned
from rollout_server.app.moments import NOW, At
from rollout_server.app.near_miss import cut
from rollout_server.domain.files import canonical_json, write, write_status
from rollout_server.domain.graph import names_of
from rollout_server.domain.resources import PLANNED, Kind, ResourceId
from rollout_server.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.domain.resources import Resource


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A resource as it stood.

    Attributes:
        json: the document, as `domain.files` writes it.
        status_json: what verbs wrote.
        dependents: ids of what names it directly, "flag/checkout-v2", in order.
    """

    resource: Resource
    json: str
    status_json: str
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceList:
    """Resources in order of kind and key, at a position."""

    resources: tuple[ResourceView, ...]
    position: Position


async def get_resource(
    environment: Environment, resource_id: ResourceId, at: At = NOW
) -> tuple[ResourceView, Position]:
    """Return one resource that people wrote.

    Raises:
        NotFound: it did not exist then (tokens never do here), or the point is not kept.
        Unavailable: the store is away, and the point is not in memory.
    """
    state = await environment.state_at(at)
    resource = state.resources.get(resource_id)
    if resource is None or resource_id.kind not in PLANNED:
        hint = f"`rollout get {resource_id.kind.value.lower()}s` lists what there is"
        raise NotFound(resource_id.kind.value.lower(), cut(resource_id.key), hint)
    return _view(resource, _named_by(state.resources.values())), state.position


async def list_resources(environment: Environment, kind: Kind | None = None, at: At = NOW) -> ResourceList:
    """Return all resources that people wrote, or all of one kind; tokens are listed by `tokens.list_tokens` alone.

    Raises:
        NotFound: the point is not kept.
        Unavailable: the store is away, and the point is not in memory.
    """
    state = await environment.state_at(at)
    kinds = PLANNED if kind is None else tuple(one for one in PLANNED if one is kind)
    named_by = _named_by(state.resources.values())
    chosen = [one for id_, one in state.resources.items() if id_.kind in kinds]
    chosen.sort(key=lambda one: (one.kind.value, one.metadata.key))
    return ResourceList(tuple(_view(one, named_by) for one in chosen), state.position)


def _view(resource: Resource, named_by: Mapping[ResourceId, set[ResourceId]]) -> ResourceView:
    return ResourceView(
        resource,
        canonical_json(write(resource)).decode(),
        canonical_json(write_status(resource)).decode(),
        tuple(sorted(map(str, named_by.get(resource.id, ())))),
    )


def _named_by(resources: Iterable[Resource]) -> dict[ResourceId, set[ResourceId]]:
    return turned({resource.id: tuple(names_of(resource)) for resource in resources})
