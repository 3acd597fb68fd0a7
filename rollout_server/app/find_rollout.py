"""Wherever a rollout is wanted, its flag's key will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.domain.machine import EXPOSING
from rollout_server.domain.resources import Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.errors import NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.domain.resources import Resource

_PREFIXES = {"rollout": Kind.ROLLOUT, "flag": Kind.FLAG}


def find_rollout(resources: Mapping[ResourceId, Resource], target: str) -> Resource:
    """Return the rollout that is meant.

    Args:
        resources: of one state.
        target: a rollout's key, or its flag's; "rollout/x" and "flag/x" say which.

    Raises:
        NotFound: there is none; the hint names near ones.
        Refused: "ambiguous", the flag has several and none of them is under way.
    """
    prefix, _, rest = target.rpartition("/")
    kind, key = _PREFIXES.get(prefix), rest if prefix in _PREFIXES else target
    named = resources.get(ResourceId(Kind.ROLLOUT, key))
    if named is not None and kind is not Kind.FLAG:
        return named
    of_flag = rollouts_of(resources, key) if kind is not Kind.ROLLOUT else []
    if not of_flag:
        keys = [id_.key for id_ in resources if id_.kind is Kind.ROLLOUT]
        flags = [resource.spec.flag for resource in resources.values() if isinstance(resource.spec, RolloutSpec)]
        raise NotFound("rollout", cut(target), did_you_mean(key, [*keys, *flags], "rollouts"))
    under_way = [one for one in of_flag if is_under_way(one)]
    if len(under_way or of_flag) > 1:
        names = ", ".join(one.metadata.key for one in under_way or of_flag)
        raise Refused("ambiguous", f"flag {key} has several rollouts: {names}", "name the rollout itself")
    return (under_way or of_flag)[0]


def rollouts_of(resources: Mapping[ResourceId, Resource], flag: str) -> list[Resource]:
    """Return the rollouts of a flag, in order of key."""
    found = (one for one in resources.values() if isinstance(one.spec, RolloutSpec) and one.spec.flag == flag)
    return sorted(found, key=lambda one: one.metadata.key)


def is_under_way(rollout: Resource) -> bool:
    """Whether its run is open, or exposes somebody still: a completed one does until it is finished."""
    status = rollout.status
    if not isinstance(status, RolloutStatus) or status.run is None:
        return False
    return status.is_active or (status.run.phase in EXPOSING and not status.run.is_finished)
