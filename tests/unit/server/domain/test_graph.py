"""Who names whom before and after a change."""

from rollout_server.domain.graph import Graph, names_of
from rollout_server.domain.ruleset import cohort_id, flag_id
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
