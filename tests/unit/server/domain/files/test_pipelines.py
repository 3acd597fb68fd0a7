"""Pipelines in files."""

import pytest

from rollout_sdk.engine.model import InCohort, Json
from rollout_server.domain.files import read
from rollout_server.domain.files.pipelines import read_pipeline, write_pipeline
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.rollouts import (
    AfterHold,
    Approval,
    Escalation,
    Exit,
    Finish,
    OnBlind,
    PipelineSpec,
    Stage,
)

WHOLE = PipelineSpec(
    stages=(
        Stage("staff", 1_000_000, InCohort("staff"), 0, 1_800_000),
        Stage("all", 250_000, None, 7_200_000, 1, Exit(200, is_healthy=True, approval=Approval("managers", 2)), "mia"),
    ),
    strata=("tenant",),
    finish=Finish(990_000, 86_400_000),
    on_blind=OnBlind(1_800_000, AfterHold.ROLLBACK),
    escalation=(Escalation(0, "team"), Escalation(900_000, "pager")),
)


def test_everything_a_pipeline_can_say() -> None:
    """Written as people write it, read back the same."""
    reading = Reading()
    tree = write_pipeline(WHOLE)
    assert tree == {
        "strata": ["tenant"],
        "stages": [
            {"name": "staff", "audience": {"cohort": "staff"}, "share": "100%", "soak": "30m"},
            {
                "name": "all",
                "audience": "everyone",
                "share": "25%",
                "ramp": "2h",
                "soak": "1ms",
                "exit": {"exposed": 200, "guardrails": "healthy", "approval": {"from": "managers", "count": 2}},
                "owner": "mia",
            },
        ],
        "finish": {"share": "99%", "watch": "1d"},
        "on_blind": {"hold": "30m", "then": "rollback"},
        "escalation": [{"after": "0m", "notify": "team"}, {"after": "15m", "notify": "pager"}],
    }
    assert read_pipeline(reading, tree) == WHOLE
    assert reading.problems == []


def test_what_is_left_out_is_the_careful_choice() -> None:
    """Everyone, no ramp, no soak, all units at the finish."""
    reading = Reading()
    assert read_pipeline(reading, {"stages": [{"name": "a", "share": "1%"}]}) == PipelineSpec((Stage("a", 10_000),))
    assert reading.problems == []


@pytest.mark.parametrize(
    ("spec", "place", "said"),
    [
        ({}, "spec.stages", 'the field "stages" is missing'),
        ({"stages": {}}, "spec.stages", "a list is wanted"),
        ({"stages": [{"share": "1%"}]}, "spec.stages[0].name", 'the field "name" is missing'),
        ({"stages": [{"name": "a"}]}, "spec.stages[0].share", "say how many of the audience are exposed"),
        ({"stages": [{"name": "A", "share": "1%"}]}, "spec.stages[0].name", "cannot be the key of a stage"),
        ({"stages": [{"name": "a", "share": "101%"}]}, "spec.stages[0].share", "above 100%"),
        ({"stages": [{"name": "a", "share": "1%", "soak": 30}]}, "spec.stages[0].soak", "say the unit"),
        (
            {"stages": [{"name": "a", "share": "1%", "audience": "all"}]},
            "spec.stages[0].audience",
            "write everyone, or",
        ),
        ({"stages": [{"name": "a", "share": "1%", "audience": 1}]}, "spec.stages[0].audience", "an audience"),
        (
            {"stages": [{"name": "a", "share": "1%", "exit": {"guardrails": "fine"}}]},
            "spec.stages[0].exit.guardrails",
            "known: healthy",
        ),
        (
            {"stages": [{"name": "a", "share": "1%", "exit": {"approval": {"count": 1}}}]},
            "spec.stages[0].exit.approval.from",
            "name the group",
        ),
        ({"stages": [], "on_blind": {"hold": "1m"}}, "spec.on_blind.then", "one of rollback, hold"),
        ({"stages": [], "escalation": [{"after": "1m"}]}, "spec.escalation[0].notify", "name the channel"),
    ],
)
def test_what_cannot_be_meant_is_refused(spec: Json, place: str, said: str) -> None:
    """One mistake, one problem, at its place."""
    (problem,) = read({"kind": "Pipeline", "metadata": {"key": "p"}, "spec": spec})[1]
    assert problem.path == place
    assert said in str(problem)
