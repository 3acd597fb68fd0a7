"""Whether a flag may grow now, by all freezes of a state, and whose turn it is after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain import calendar
from rollout_server.domain.calendar import Line
from rollout_server.domain.machine import ENDED
from rollout_server.domain.resources import Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import FreezeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    return calendar.is_frozen(freezes_of(resources.values()), tags_of(resources, flag), at_ms, names)


def may_grow(resources: Mapping[ResourceId, Resource], rollout: str, flag: str, at_ms: int) -> bool:
    """Whether it is a rollout's turn after every freeze that held its flag."""
    past = calendar.thaws(freezes_of(resources.values()), tags_of(resources, flag), at_ms)
    return not past or calendar.may_grow(rollout, past, line_of(resources), at_ms)


def freezes_of(resources: Iterable[Resource]) -> list[FreezeSpec]:
    """Return the freezes among these."""
    return [one.spec for one in resources if isinstance(one.spec, FreezeSpec)]


def tags_of(resources: Mapping[ResourceId, Resource], flag: str) -> tuple[str, ...]:
    """Return the tags of a flag; none where it does not exist."""
    resource = resources.get(ResourceId(Kind.FLAG, flag))
    return resource.metadata.tags if resource is not None else ()


def line_of(resources: Mapping[ResourceId, Resource]) -> list[Line]:
    """Return who stands in line after a freeze: every run that was started."""
    line = []
    for id_, one in resources.items():
        run = one.status.run if isinstance(one.status, RolloutStatus) else None
        if run is None or run.started is None:
            continue
        ended_ms = run.end.at_ms if run.end is not None and run.phase in ENDED else None
        line.append(Line(id_.key, run.started.at_ms, ended_ms, tags_of(resources, run.flag)))
    return line
