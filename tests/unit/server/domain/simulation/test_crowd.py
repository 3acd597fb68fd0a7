"""How many are in which audience."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Cohort, InCohort
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.simulation.crowd import counted, supposed
from rollout_server.domain.simulation.replay import Group
from tests.small_world import leaf

PIPELINE = PipelineSpec(
    stages=(
        Stage("staff", 1_000_000, InCohort("staff")),
        Stage("pro", 500_000, leaf("plan", "equals", "pro")),
        Stage("all", 10_000),
    )
)


def test_a_population_is_sorted_by_the_engines_own_conditions() -> None:
    """Overlaps are groups of their own; who is in no audience is none."""
    staff = Cohort("staff", key_set(["a", "b"]), key_set([]))
    people = [
        Context("a", plan="pro"),
        Context("b", plan="free"),
        *(Context(f"u{at}", plan="pro") for at in range(3)),
        *(Context(f"v{at}") for at in range(5)),
    ]
    found = counted(PIPELINE, {"staff": staff}, people)
    assert {group.places: group.share for group in found} == {
        frozenset({0, 1}): pytest.approx(0.1),
        frozenset({0}): pytest.approx(0.1),
        frozenset({1}): pytest.approx(0.3),
    }
    assert counted(PIPELINE, {"staff": staff}, []) == ()


def test_without_one_some_are_supposed() -> None:
    """The same few in every audience; nobody where all are everyone's."""
    assert supposed(PIPELINE, 0.01) == (Group(0.01, frozenset({0, 1})),)
    assert supposed(PipelineSpec(stages=PIPELINE.stages[2:]), 0.01) == ()
