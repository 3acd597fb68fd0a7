"""Conditions."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import All, Any, Condition, InCohort, Json, Leaf, Not, OnMissing
from rollout_server.domain.files.conditions import read_condition, write_condition
from rollout_server.domain.files.shape import Reading


@pytest.mark.parametrize(
    ("tree", "condition"),
    [
        ({"cohort": "beta"}, InCohort("beta")),
        ({"not": {"cohort": "beta"}}, Not(InCohort("beta"))),
        ({"all": []}, All(())),
        ({"any": [{"cohort": "a"}, {"cohort": "b"}]}, Any((InCohort("a"), InCohort("b")))),
        ({"attribute": "country", "in": ["KR", "TH"]}, Leaf("country", "in", ("KR", "TH"))),
        ({"attribute": "age", "between": [1, 2.5]}, Leaf("age", "between", (1, 2.5))),
        ({"attribute": "age", ">=": 18}, Leaf("age", ">=", 18)),
        ({"attribute": "tags", "size": 2}, Leaf("tags", "size", 2)),
        ({"attribute": "tags", "size": [1, 2]}, Leaf("tags", "size", (1, 2))),
        ({"attribute": "a", "exists": False}, Leaf("a", "exists", operand=False)),
        ({"attribute": "a", "type": "null"}, Leaf("a", "type", "null")),
        ({"unit": "user", "starts_with": "u-"}, Leaf("user", "starts_with", "u-", is_unit=True)),
        (
            {"attribute": "a", "contains": ["x"], "ignore_case": True, "on_missing": "match"},
            Leaf("a", "contains", ("x",), ignore_case=True, on_missing=OnMissing.MATCH),
        ),
    ],
)
def test_a_condition_reads_and_writes(tree: Json, condition: Condition) -> None:
    """Each form of a condition is the model's, and is written the same."""
    reading = Reading()
    assert read_condition(reading, tree, "when") == condition
    assert reading.problems == []
    assert write_condition(condition) == tree


@pytest.mark.parametrize(
    ("tree", "path", "said"),
    [
        (1, "when", "a condition (a map) is wanted, found the number 1"),
        ({}, "when", "one condition is wanted here, found none of them"),
        ({"all": [], "any": []}, "when", "found all and any"),
        ({"cohort": "a", "ignore_case": True}, "when.ignore_case", '"ignore_case" cannot stand beside "cohort"'),
        ({"attribute": "a"}, "when", "exactly one operator is wanted, found none"),
        ({"attribute": "a", "equals": 1, "in": [1]}, "when", "found equals, in"),
        ({"attribute": "a", "equal": 1}, "when.equal", 'did you mean "equals"?'),
        ({"attribute": "a", "matches": "x"}, "when.matches", 'unknown operator "matches" (known: equals, in'),
        ({"cohorts": "a"}, "when.cohorts", 'unknown field "cohorts" (did you mean "cohort"?)'),
        ({"all": [{"cohort": "A"}]}, "when.all[0].cohort", "U+0041"),
        ({"not": []}, "when.not", "a list"),
        ({"attribute": "a", "in": "x"}, "when.in", "a list is wanted"),
        ({"attribute": "a", "regex": 1}, "when.regex", 'quote it: "1"'),
        ({"attribute": "a", "<": "1"}, "when.<", "a number is wanted"),
        ({"attribute": "a", "<": True}, "when.<", "found the boolean true"),
        ({"attribute": "a", "between": [1]}, "when.between", "[low, high] is wanted, found a list of 1"),
        ({"attribute": "a", "modulo": [1.5, 1]}, "when.modulo[0]", "a whole number is wanted"),
        ({"attribute": "a", "equals": None}, "when.equals", "found nothing"),
        ({"attribute": "a", "type": "text"}, "when.type", "unknown type"),
        ({"attribute": "a", "exists": "true"}, "when.exists", "true or false is wanted"),
        ({"attribute": "a", "exists": True, "on_missing": "nomatch"}, "when.on_missing", 'did you mean "no_match"?'),
        ({"attribute": "a", "type": None}, "when.type", 'quote it: "null"'),
        ({"attribute": "a", "type": {}}, "when.type", "unknown type: a map"),
        ({"attribute": "a", "exists": True, "on_missing": []}, "when.on_missing", "unknown choice: a list"),
        ({"unit": "User", "equals": "x"}, "when.unit", "cannot be a kind of unit"),
    ],
)
def test_a_wrong_condition_says_where_and_why(tree: object, path: str, said: str) -> None:
    """The place is the part that is wrong, not the condition around it."""
    reading = Reading()
    read_condition(reading, tree, "when")
    assert [problem.path for problem in reading.problems] == [path]
    assert said in str(reading.problems[0])


def test_all_mistakes_are_told_at_once() -> None:
    """A mistake in one branch hides none in another."""
    reading = Reading()
    read_condition(reading, {"all": [{"cohort": 1}, {"not": {"attribute": "a", "<": "x"}}, {"any": 3}]}, "when")
    assert [problem.path for problem in reading.problems] == [
        "when.all[0].cohort",
        "when.all[1].not.<",
        "when.all[2].any",
    ]
