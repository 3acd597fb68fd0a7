"""Which moment opens a rollout's next run by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain.calendar import parse_moment_ms
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from rollout_server.domain.resources import Resource

_ENDED = frozenset({Phase.ROLLED_BACK, Phase.CANCELLED})


def awaited_ms(rollout: Resource) -> int | None:
    """Return when the schedule opens the next run of a rollout, to come or past; None where it opens none.

    Once for each moment that the file gives: neither while a run is under way, nor again over one that was opened
    later, nor for the moment that somebody cancelled.

    Args:
        rollout: one, with its status.
    """
    spec, status = rollout.spec, rollout.status
    if not isinstance(spec, RolloutSpec) or not isinstance(status, RolloutStatus):
        return None
    start_ms, run = parse_moment_ms(spec.start), status.run
    if start_ms is None or run is None:
        return start_ms
    opened_ms = run.started.at_ms if run.started is not None else run.changed_at_ms
    is_over = run.phase in _ENDED or run.is_finished
    return start_ms if is_over and opened_ms < start_ms and start_ms != run.scheduled_ms else None
