"""Who names whom before and after a change."""

from dataclasses import replace

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.graph import Graph, names_of
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.resources import Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.ruleset import cohort_id, flag_id
from tests import small_rollouts
from tests.small_rollouts import GUARDED
from tests.small_state import EMPTY, applied, cohort_document, flag_document

STATE = applied(
    EMPTY,
    cohort_document("inner", "u"),
    cohort_document("outer", when={"cohort": "inner"}),
    flag_document("parent", {"id": "a", "when": {"cohort": "outer"}, "serve": "on"}),
    flag_document("child", requires=[{"flag": "parent", "variants": ["on"]}], never=["other"]),
    cohort_document("other", "x"),
    flag_document("stranger"),
)


def test_names_are_those_in_the_document() -> None:
    """Parents and cohorts, in rules, `never` and conditions."""
    assert list(names_of(STATE.resources[flag_id("child")])) == [flag_id("parent"), cohort_id("other")]
    assert list(names_of(STATE.resources[cohort_id("outer")])) == [cohort_id("inner")]


def test_dependents_are_told_with_the_reason_for_each() -> None:
    """Through cohorts of cohorts and parents, not naming what changes itself."""
    assert [(str(id_), because) for id_, because in Graph(STATE, STATE).dependents([cohort_id("inner")])] == [
        ("cohort/outer", "cohort/outer uses cohort/inner"),
        ("flag/child", "flag/child requires flag/parent"),
        ("flag/parent", "flag/parent uses cohort/outer"),
    ]


def test_the_ground_holds_what_dependents_stand_on() -> None:
    """A plan rests on what changes, who uses it, and all that these users look at; strangers are left out."""
    ground = Graph(STATE, STATE).ground([flag_id("parent")], [flag_id("parent")])
    assert {str(id_) for id_ in ground} == {"flag/parent", "flag/child", "cohort/outer", "cohort/inner", "cohort/other"}


def test_references_of_both_sides_count() -> None:
    """What was named before is part of the ground, and so is what will be."""
    after = applied(STATE, flag_document("stranger", never=["other"]))
    graph = Graph(STATE, after)
    assert graph.users(cohort_id("other")) == [flag_id("child"), flag_id("stranger")]
    assert graph.users(cohort_id("gone")) == []


def test_what_moves_and_guards_flags_is_named_too() -> None:
    """Rollouts and flags name each other; pipelines name metrics, channels, cohorts and policies of their groups."""
    staged = {"name": "a", "share": "1%", "audience": {"cohort": "staff"}, "exit": {"approval": {"from": "managers"}}}
    told = [{"after": "0m", "notify": "team"}]
    state = applied(small_rollouts.STATE, small_rollouts.pipeline(staged, guardrails=GUARDED, escalation=told))
    graph = Graph(state, state)

    def users(kind: Kind, key: str) -> list[str]:
        return [str(id_) for id_ in graph.users(ResourceId(kind, key))]

    assert users(Kind.FLAG, "checkout") == ["rollout/launch"]
    assert users(Kind.ROLLOUT, "launch") == ["flag/checkout"]
    assert users(Kind.PIPELINE, "careful") == ["rollout/launch"]
    assert all(
        users(kind, key) == ["pipeline/careful"]
        for kind, key in [
            (Kind.METRIC, "errors"),
            (Kind.CHANNEL, "team"),
            (Kind.COHORT, "staff"),
            (Kind.POLICY, "people"),
        ]
    )
    assert [because for _, because in graph.dependents([ResourceId(Kind.METRIC, "errors")])] == [
        "flag/checkout is moved by rollout/launch",
        "pipeline/careful is guarded by metric/errors",
        "rollout/launch moves flag/checkout",
        "rollout/launch goes through pipeline/careful",
    ]


def test_a_run_names_what_its_own_copy_needs() -> None:
    """As long as it exposes anybody, whatever has become of the template."""
    stage = Stage("a", 10_000, InCohort("staff"))
    run = Run("launch", "checkout", "off", "on", 1, PipelineSpec((stage,)), phase=Phase.RUNNING)
    resource = small_rollouts.STATE.resources[ResourceId(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    running = replace(resource, status=replace(resource.status, run=run))
    assert cohort_id("staff") in set(names_of(running))
    assert cohort_id("staff") not in set(names_of(resource))
    over = replace(resource, status=replace(resource.status, run=replace(run, phase=Phase.ROLLED_BACK)))
    assert cohort_id("staff") not in set(names_of(over))
