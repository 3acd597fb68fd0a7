"""Who belongs to what, by all Policies of a state."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import show
from rollout_server.domain.changes import voice
from rollout_server.domain.resources import TokenSpec
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


def strangers_told(resources: Iterable[Resource], names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each name that is no group's and, as far as anybody can tell, no person's.

    Whoever answers for a token here or is in a group is a person, and so is whatever looks like an address. A name
    beyond these may be right tomorrow, so it is told of and not refused: nobody is exempted by mistake.

    Args:
        resources: of a state.
        names: groups or people, as somebody wrote them.
    """
    known: dict[str, str] = {}
    for one in resources:
        match one.spec:
            case PolicySpec(groups=groups):
                for name, people in groups:
                    known.update((voice(each), each) for each in (name, *people))
            case TokenSpec(person=person):
                known[voice(person)] = person
            case _:
                pass
    told = []
    for name in names:
        if voice(name) not in known and "@" not in name:
            near = get_close_matches(voice(name), known, 1)
            meant = f"did you mean {show(known[near[0]])}?" if near else "check the name"
            told.append(f"{show(name)}, which is no group of a policy and nobody who is known here; {meant}")
    return tuple(told)
