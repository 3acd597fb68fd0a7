"""Which moment opens a run by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Act
from rollout_server.domain.resources import Kind, Metadata, Resource, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, RolloutSpec
from rollout_server.domain.schedule import awaited_ms

START = "1970-01-01T00:00:05Z"
RUN = Run("launch", "checkout", "off", "on", 1, PipelineSpec(()))
BEFORE = replace(RUN, started=Act("mia", 4_999), changed_at_ms=9_000)
CANCELLED = replace(RUN, phase=Phase.CANCELLED, changed_at_ms=2_000, scheduled_ms=5_000)


def rollout(run: Run | None, start: str = START) -> Resource:
    spec = RolloutSpec("checkout", "off", "on", "quick", start=start)
    return Resource(Kind.ROLLOUT, Metadata("launch"), spec, RolloutStatus("0123456789abcdef", run=run))


@pytest.mark.parametrize(
    ("run", "start", "moment"),
    [
        (None, START, 5_000),
        (None, "", None),
        (BEFORE, START, None),
        (replace(BEFORE, phase=Phase.COMPLETED), START, None),
        (replace(BEFORE, phase=Phase.COMPLETED, is_finished=True), START, 5_000),
        (replace(BEFORE, phase=Phase.ROLLED_BACK), START, 5_000),
        (replace(RUN, phase=Phase.ROLLED_BACK, started=Act("schedule", 5_000)), START, None),
        (CANCELLED, START, None),
        (CANCELLED, "1970-01-01T00:00:04Z", 4_000),
        (CANCELLED, "1970-01-01T00:00:01Z", None),
    ],
)
def test_each_moment_opens_one_run(run: Run | None, start: str, moment: int | None) -> None:
    """Not over one that is under way or was opened later; not the one that was cancelled, but another."""
    assert awaited_ms(rollout(run, start)) == moment
