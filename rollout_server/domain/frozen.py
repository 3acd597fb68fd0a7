"""Whether a flag may grow now, by all freezes of a state, and whose turn it is after them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import show
from rollout_sdk.engine.references import reached, turned
from rollout_server.domain import calendar
from rollout_server.domain.calendar import Line
from rollout_server.domain.machine import ENDED
from rollout_server.domain.people import strangers_told
from rollout_server.domain.resources import FlagSpec, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import FreezeSpec, RolloutSpec
from rollout_server.domain.schedule import awaited_ms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import Resource


def is_frozen(
    resources: Mapping[ResourceId, Resource], flag: str, at_ms: int, names: frozenset[str] = frozenset()
) -> bool:
    """Whether a freeze holds a flag.

    Args:
        resources: of a state.
        flag: key.
        at_ms: Unix epoch, UTC.
        names: the person who wants it to grow, and that person's groups; the engine has none.
    """
    freezes = freezes_of(resources.values())
    return bool(freezes) and calendar.is_frozen(freezes, tags_of(resources, flag), at_ms, names)


def freezes_told(
    resources: Mapping[ResourceId, Resource], flags: Iterable[str], at_ms: int, names: frozenset[str] = frozenset()
) -> str:
    """Return which freezes hold some of these flags and until when, as a refusal says it; see `is_frozen`."""
    if not freezes_of(resources.values()):
        return ""
    tags = [tags_of(resources, flag) for flag in flags]
    told = []
    for id_, one in sorted(resources.items(), key=lambda item: item[0].key):
        if isinstance(one.spec, FreezeSpec):
            ends_ms = [
                end for each in tags if (end := calendar.held_until_ms(one.spec, each, at_ms, names)) is not None
            ]
            told += [f"{id_} until {calendar.end_text(max(ends_ms))}"] if ends_ms else []
    return ", ".join(told)


def held_back(
    before: Mapping[ResourceId, Resource], planned: Plan, at_ms: int, names: frozenset[str] = frozenset()
) -> tuple[ResourceId, ...]:
    """Return the flags that a plan would let grow, or take the tag of a freeze from, while a freeze holds them.

    The freezes and tags that stand count, not those that the plan would write.

    Args:
        before: resources of the state that was planned on.
        planned: without problems.
        at_ms: Unix epoch, UTC.
        names: as for `is_frozen`.
    """
    after, freezes = planned.after.resources, freezes_of(before.values())

    def holds(resource: Resource) -> bool:
        return calendar.is_frozen(freezes, resource.metadata.tags, at_ms, names)

    held = {id_ for id_ in _flags_of(planned) if holds(before.get(id_) or after[id_])}
    freed = {id_ for id_ in held & after.keys() if not holds(after[id_])}
    return tuple(sorted(held & planned.grown() | freed, key=str))


def may_grow(resources: Mapping[ResourceId, Resource], rollout: str, flag: str, at_ms: int) -> bool:
    """Whether it is a rollout's turn after every freeze that held its flag."""
    past = _past(resources, flag, at_ms)
    return not past or calendar.may_grow(rollout, past, line_of(resources), at_ms)


def turn_ms(resources: Mapping[ResourceId, Resource], rollout: str, flag: str, at_ms: int) -> int:
    """Return from when on it is a rollout's turn after every freeze that held its flag; 0 where none did.

    Args:
        resources: of a state.
        rollout: key.
        flag: key of its flag.
        at_ms: freezes that are over by then count. Unix epoch, UTC.
    """
    past = _past(resources, flag, at_ms)
    line = line_of(resources) if past else ()
    return max((calendar.turn_ms(rollout, thaw, line) for thaw in past), default=0)


def growth_told(resources: Mapping[ResourceId, Resource], rollout: str, flag: str, at_ms: int) -> str:
    """Say what keeps a rollout from growing, and until when: a freeze, or others in line after one; empty: nothing."""
    if freezes := freezes_told(resources, [flag], at_ms):
        return f"a freeze is in force ({freezes})"
    turn_at_ms = turn_ms(resources, rollout, flag, at_ms)
    if turn_at_ms <= at_ms:
        return ""
    return f"others of the freeze that is over go first, its turn comes at {calendar.end_text(turn_at_ms)}"


def _past(resources: Mapping[ResourceId, Resource], flag: str, at_ms: int) -> tuple[calendar.Thaw, ...]:
    freezes = freezes_of(resources.values())
    return calendar.thaws(freezes, tags_of(resources, flag), at_ms) if freezes else ()


def surprises(resources: Mapping[ResourceId, Resource], freeze: FreezeSpec) -> tuple[str, ...]:
    """Return what a freeze does otherwise than whoever wrote it may think, each without its subject.

    A tag that no flag has yet, and a name that nobody has yet, may be right tomorrow: they are told of, not refused.

    Args:
        resources: of a state with the freeze in it, or about to be.
        freeze: one that validation found in order.
    """
    known = sorted({tag for id_, one in resources.items() if id_.kind is Kind.FLAG for tag in one.metadata.tags})
    told = []
    for tag in freeze.tags:
        if tag not in known:
            near = get_close_matches(tag, known, 1)
            meant = f"did you mean {show(near[0])}?" if near else "check the tag"
            told.append(f"holds flags tagged {show(tag)}, and there is none; {meant}")
    return (*told, *(f"exempts {one}" for one in strangers_told(resources.values(), freeze.exempt)))


def _flags_of(planned: Plan) -> set[ResourceId]:
    named = {change.id for change in planned.changes} | {dependent.id for dependent in planned.dependents}
    return {id_ for id_ in named if id_.kind is Kind.FLAG}


def freezes_of(resources: Iterable[Resource]) -> list[FreezeSpec]:
    """Return the freezes among these."""
    return [one.spec for one in resources if isinstance(one.spec, FreezeSpec)]


def tags_of(resources: Mapping[ResourceId, Resource], flag: str) -> tuple[str, ...]:
    """Return the tags by which a freeze holds a flag, in order: its own, and those of the flags that require it.

    What lets it grow may let them grow too, at any remove.

    Args:
        resources: of a state.
        flag: key; one that does not exist has none.
    """
    return _tags_of(resources, flag, _children(resources))


def _tags_of(
    resources: Mapping[ResourceId, Resource], flag: str, children: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    found = (resources.get(ResourceId(Kind.FLAG, key)) for key in reached((flag,), children))
    return tuple(sorted({tag for one in found if one is not None for tag in one.metadata.tags}))


def _children(resources: Mapping[ResourceId, Resource]) -> dict[str, set[str]]:
    """Return the flags that require each flag directly."""
    return turned(
        {
            id_.key: {requirement.flag for requirement in one.spec.requires}
            for id_, one in resources.items()
            if isinstance(one.spec, FlagSpec) and one.spec.requires
        }
    )


def line_of(resources: Mapping[ResourceId, Resource]) -> list[Line]:
    """Return who stands in line after a freeze: every run that was started, and every start that was due by then."""
    line = []
    children = _children(resources)
    for id_, one in resources.items():
        if not isinstance(one.spec, RolloutSpec) or not isinstance(one.status, RolloutStatus):
            continue
        tags, run, start_ms = _tags_of(resources, one.spec.flag, children), one.status.run, awaited_ms(one)
        if start_ms is not None:
            line.append(Line(id_.key, start_ms, None, tags))
        if run is not None and run.in_line_ms is not None:
            ended_ms = run.end.at_ms if run.end is not None and run.phase in ENDED else None
            line.append(Line(id_.key, run.in_line_ms, ended_ms, tags))
    return line
