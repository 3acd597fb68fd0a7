"""Look at resources, now or at any kept point of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.environment import NOW, At

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.domain.resources import Kind, Resource, ResourceId


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A resource as it stood.

    Attributes:
        json: the document, as `domain.files` writes it.
        status_json: what verbs wrote.
        dependents: ids of what depends on it directly, "flag/checkout-v2".
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
    """Return one flag or cohort.

    Raises:
        NotFound: it did not exist then (tokens never do here), or the point is not kept.
    """


async def list_resources(environment: Environment, kind: Kind | None = None, at: At = NOW) -> ResourceList:
    """Return all flags and cohorts, or all of one kind; tokens are listed by `tokens.list_tokens` alone.

    Raises:
        NotFound: the point is not kept.
    """
