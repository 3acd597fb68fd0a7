"""Who belongs to what, by all Policies of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain.changes import voice
from rollout_server.domain.rollouts import PolicySpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.domain.resources import Resource


def names_of(resources: Iterable[Resource], person: str) -> frozenset[str]:
    """Return a person's own name, and the groups that any Policy puts the person in."""
    groups = (
        name
        for one in resources
        if isinstance(one.spec, PolicySpec)
        for name, people in one.spec.groups
        if voice(person) in map(voice, people)
    )
    return frozenset({person, *groups})
