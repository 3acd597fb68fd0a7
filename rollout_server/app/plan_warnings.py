"""What a release manager would want to have been told before a plan is applied, and no refusal says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.app.status import is_expired
from rollout_server.domain.diff import Operation
from rollout_server.domain.frozen import held_back, surprises
from rollout_server.domain.resources import FlagStatus, Kind
from rollout_server.domain.rollouts import FreezeSpec, RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.domain.diff import ResourceChange
    from rollout_server.domain.journal import State
    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import Resource


def warnings_of(planned: Plan, before: State, environment: str, now_ms: int) -> tuple[str, ...]:
    """Return a sentence for each surprise of a plan.

    Args:
        planned: without problems.
        before: the state that it was planned on.
        environment: its name.
        now_ms: Unix epoch, UTC.
    """
    held = held_back(before.resources, planned, now_ms)
    warnings = [f"{id_} is frozen: whom its freeze does not exempt cannot apply this now" for id_ in held]
    for change in planned.changes:
        if change.operation is Operation.DELETE and change.id.kind is Kind.FLAG:
            warnings.append(f"{change.id} is deleted: callers get their own default from then on")
        after = planned.after.resources.get(change.id)
        if after is not None and change.operation is not Operation.UNCHANGED:
            warnings += _of_change(change, before.resources.get(change.id), after, now_ms)
            warnings += _of_spec(planned, after, environment)
    return tuple(warnings)


def _of_change(change: ResourceChange, before: Resource | None, after: Resource, now_ms: int) -> Iterator[str]:
    if before is not None and isinstance(before.status, FlagStatus) and before.status.killed:
        yield f"{change.id} is killed and stays so: nobody sees this change until `rollout unkill`"
    if is_expired(after, now_ms):
        yield f"{change.id} expired on {after.metadata.expires}: remove it, or give it a later date"


def _of_spec(planned: Plan, after: Resource, environment: str) -> Iterator[str]:
    match after.spec:
        case RolloutSpec(after_environment=awaited) if awaited == environment:
            yield (
                f"{after.id} waits for a rollout of the same flag to complete in {environment}, where it is itself:"
                " write `after` below `environments`, for the one that comes later"
            )
        case FreezeSpec() as spec:
            yield from (f"{after.id} {told}" for told in surprises(planned.after.resources, spec))
        case _:
            pass
