"""Plans of rollouts on the wire: all of them arrives."""

from __future__ import annotations

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api.convert_rollout_plan import rollout_plan, rollout_plan_question
from tests.planned_rollouts import NOW_MS, planned, users
from tests.small_rollouts import GUARDED, STATE, pipeline
from tests.small_state import applied

STAGED = applied(
    STATE,
    pipeline(
        {"name": "staff", "audience": {"cohort": "staff"}, "share": "100%", "soak": "30m", "exit": {"exposed": 3}},
        {"name": "half", "share": "50%", "ramp": "1h", "exit": {"approval": {"from": "managers"}}},
        guardrails=GUARDED,
        finish={"share": "90%"},
    ),
)


def test_a_plan_arrives_whole() -> None:
    """Times, needs, counts with their arms, paces and reasons."""
    told = rollout_plan(planned(STAGED, users(1_000)), Position("e", 7, b"d"))
    assert (told.rollout, told.flag, told.run, told.phase, told.now_ms) == (
        "launch",
        "checkout",
        1,
        "scheduled",
        NOW_MS,
    )
    staff, half, finish = told.stages
    assert (staff.audience, staff.required, staff.exposed, staff.entered) == ("cohort staff", 3, 0, False)
    assert half.entering == half.exposed
    assert half.exposed + half.control == 1_000
    assert [len(half.candidates), len(half.controls)] == [10, 10]
    assert len(half.steps) == 20
    assert list(finish.needs) == ["an approval by 1 of managers"]
    assert half.paces[0].unknown == "no traffic of this metric is known"
    assert not half.paces[0].HasField("healthy_ms")
    assert [(one.code, one.count) for one in told.exempt] == [("control", finish.control)]
    assert (told.contexts, told.units, told.position.revision) == (1_000, 1_000, 7)
    assert told.completes_ms > NOW_MS


def test_what_nobody_counted_is_absent() -> None:
    """Zero is a count, absent is none."""
    told = rollout_plan(planned(STAGED), Position("e", 7, b"d"))
    assert not any(stage.HasField("exposed") for stage in told.stages)


def test_a_question_is_read() -> None:
    """As it was asked."""
    question = rollout_plan_question(pb.PlanRolloutQuestion(rollout="checkout", synthetic_count=7, listed_max=3))
    assert (question.target, question.synthetic_count, question.listed_max) == ("checkout", 7, 3)
