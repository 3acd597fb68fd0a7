"""Runs in compressed time: good ones complete, bad ones are caught, and both tell how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.guardrails.spec import Action, Guardrail, RelativeLimit
from rollout_server.domain.machine import Phase
from rollout_server.domain.rollout_timetable import Course, timetable
from rollout_server.domain.rollouts import Approval, Exit, Finish, PipelineSpec, Stage
from rollout_server.domain.simulation.replay import MINUTE_MS, Group, Scene, length_of, replay, window_for
from tests.guardrail_windows import BASKET, ERRORS, P95_REQUESTS
from tests.random_rollouts import new_run

HEALTHY = Exit(is_healthy=True, approval=Approval("managers"))
PIPELINE = PipelineSpec(
    stages=(
        Stage("staff", 1_000_000, InCohort("staff"), soak_ms=10 * MINUTE_MS),
        Stage("tenth", 100_000, soak_ms=60 * MINUTE_MS, exit=HEALTHY),
        Stage("half", 500_000, ramp_ms=30 * MINUTE_MS, soak_ms=60 * MINUTE_MS, exit=Exit(exposed=500)),
    ),
    guardrails=(Guardrail("errors", RelativeLimit(500_000)), Guardrail("basket", RelativeLimit(300_000), Action.HOLD)),
    finish=Finish(watch_ms=30 * MINUTE_MS),
)
SCENE = Scene(
    PIPELINE,
    {"errors": ERRORS, "slow": P95_REQUESTS, "basket": BASKET},
    (Group(0.01, frozenset({0})),),
    units_per_minute=2_000,
    levels={"errors": 0.05},
    window_ms=2 * MINUTE_MS,
)
SLOW = replace(PIPELINE, guardrails=(Guardrail("slow", RelativeLimit(300_000)),))
ERRORS_ONLY = replace(PIPELINE, guardrails=PIPELINE.guardrails[:1])
BASKETS = replace(PIPELINE, guardrails=PIPELINE.guardrails[1:])


def test_a_good_release_completes() -> None:
    """Each stage in its order, growing, at the least after its soak, with what every guard said."""
    found = replay(SCENE)
    assert (found.phase, found.caught_ms, found.harmed) == (Phase.COMPLETED, None, 0)
    assert [stage.name for stage in found.stages] == ["staff", "tenth", "half", "finish"]
    assert all(stage.left_ms == after.entered_ms for stage, after in zip(found.stages, found.stages[1:], strict=False))
    assert found.ended_ms >= length_of(PIPELINE)
    assert [len(stage.verdicts) for stage in found.stages] == [2, 2, 2, 2]
    assert found.stages[0].exposed == pytest.approx(2_000 * 0.01 * 12, rel=0.4)
    assert found.exposed > found.stages[2].exposed > found.stages[1].exposed


def test_where_nothing_is_asked_the_machine_keeps_its_times() -> None:
    """Without guardrails a simulated run is the timetable of the plan."""
    plain = replace(PIPELINE, stages=tuple(replace(one, exit=Exit()) for one in PIPELINE.stages), guardrails=())
    found = replay(replace(SCENE, pipeline=plain, window_ms=MINUTE_MS))
    table = timetable(new_run(plain), Course(0, MINUTE_MS))
    entered = {one.run.stage_name: one.at_ms for one in reversed(table.arrivals)}
    assert {one.name: one.entered_ms for one in found.stages} == entered
    assert found.ended_ms == table.completed_ms


@pytest.mark.parametrize(
    ("pipeline", "metric", "ratio"), [(PIPELINE, "errors", 3.0), (SLOW, "slow", 2.0)], ids=["errors", "slow"]
)
def test_a_regression_is_caught_after_its_onset(pipeline: PipelineSpec, metric: str, ratio: float) -> None:
    """It is rolled back, with the figures, and whoever was exposed meanwhile is counted."""
    found = replay(replace(SCENE, pipeline=pipeline, effects={metric: ratio}, onset_ms=90 * MINUTE_MS))
    assert found.phase is Phase.ROLLED_BACK
    assert "is past its limit" in found.sentence
    assert found.caught_ms == found.ended_ms - 90 * MINUTE_MS
    assert 0 < found.harmed < found.exposed


def test_a_guard_that_holds_stops_a_run_and_is_told() -> None:
    """It is left after a while, held, and nobody is rolled back."""
    found = replay(replace(SCENE, pipeline=BASKETS, effects={"basket": 3.0}))
    assert (found.phase, found.caught_ms) == (Phase.HELD, None)
    assert "basket" in found.sentence


def test_too_little_traffic_is_never_healthy() -> None:
    """Such a run stays where it is, waiting for evidence."""
    found = replay(replace(SCENE, pipeline=ERRORS_ONLY, units_per_minute=2))
    assert (found.phase, found.stages[-1].name) == (Phase.RUNNING, "tenth")
    assert "waits for healthy guardrails" in found.sentence


def test_the_same_seed_is_the_same_run() -> None:
    """And another one is not."""
    few = replace(SCENE, pipeline=ERRORS_ONLY)
    assert replay(few) == replay(few)
    assert replay(few) != replay(replace(few, seed=1))


@pytest.mark.parametrize(
    ("soak_ms", "window_ms"), [(8_000, 1_000), (3_600_000, 18_000), (86_400_000, 60_000), (10**10, 600_000)]
)
def test_windows_suit_the_pipeline(soak_ms: int, window_ms: int) -> None:
    """A minute, but for pipelines of seconds and of months."""
    short = PipelineSpec(stages=(Stage("one", 1, soak_ms=soak_ms),))
    assert window_for(replace(SCENE, pipeline=short, window_ms=0)) == window_ms
    assert window_for(replace(SCENE, pipeline=short, window_ms=5)) == 5
