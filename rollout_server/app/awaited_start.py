"""What the schedule is about to start, and what a start waits for whose moment has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.app.start_rollout import refuse_start
from rollout_server.domain.frozen import growth_told
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.domain.schedule import awaited_ms
from rollout_server.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_server.app.environment import Environment
    from rollout_server.domain.resources import Resource, ResourceId


def awaited_start(
    resources: Mapping[ResourceId, Resource],
    rollout: Resource,
    elsewhere: Callable[[str], Environment | None],
    now_ms: int,
) -> str:
    """Say when the schedule opens a rollout's next run, or what keeps it from it since; empty where it opens none.

    Args:
        resources: of the state.
        rollout: one of them.
        elsewhere: returns another environment of this server by name.
        now_ms: Unix epoch, UTC.
    """
    key, spec, start_ms = rollout.metadata.key, rollout.spec, awaited_ms(rollout)
    if start_ms is None or not isinstance(spec, RolloutSpec):
        return ""
    if now_ms < start_ms:
        return f"{key} starts by itself at {spec.start}, and moves {spec.flag} to {spec.to_variant}"
    why = []
    try:
        refuse_start(resources, rollout, elsewhere)
    except Refused as refused:
        why.append(str(refused))
    if told := growth_told(resources, key, spec.flag, now_ms):
        why.append(told)
    waits = f", and waits: {'; '.join(why)}" if why else ""
    return f"{key} was to start at {spec.start}{waits}"
