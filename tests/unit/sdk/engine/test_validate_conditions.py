"""One condition by itself."""

import pytest

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.limits import CONDITION_DEPTH, CONDITION_NODES
from rollout_sdk.engine.model import All, Any, Condition, InCohort, Leaf, Not
from rollout_sdk.engine.validate_conditions import check_condition, places
from tests.small_world import leaf

GOOD = leaf("country", "equals", "KR")


def found(condition: Condition) -> list[tuple[str, str]]:
    findings = Findings("flag/f")
    check_condition(findings, condition, "spec.rules[2].when")
    return [(problem.path, problem.code) for problem in findings.problems]


def test_a_good_tree_has_no_problems() -> None:
    """Every kind of node, and the largest and deepest that may be made."""
    assert found(All((GOOD, Any((Not(GOOD), InCohort("beta")))))) == []
    assert found(Any((GOOD,) * (CONDITION_NODES - 1))) == []
    assert found(deep(CONDITION_DEPTH)) == []


def deep(levels: int) -> Condition:
    condition: Condition = GOOD
    for _ in range(levels - 1):
        condition = Not(condition)
    return condition


@pytest.mark.parametrize(
    ("part", "path", "code"),
    [
        (leaf("v", "semver", "one.two"), ".semver", "bad_semver"),
        (leaf("c", "regex", "(?=a)"), ".regex", "bad_regex"),
        (leaf("d", "before", "yesterday"), ".before", "bad_date"),
        (leaf("n", "<", "5"), ".<", "bad_operand"),
        (leaf("n", "between", (2, 1)), ".between", "bad_operand"),
        (leaf("c", "in", ()), ".in", "empty_list"),
        (leaf("c", "resembles", "x"), "", "unknown_operator"),
        (leaf("", "equals", "x"), ".attribute", "bad_subject"),
        (leaf("n", "<", 5, ignore_case=True), ".ignore_case", "bad_ignore_case"),
        (leaf("User", "equals", "x", is_unit=True), ".unit", "bad_unit"),
        (leaf("", "equals", "x", is_unit=True), ".unit", "bad_unit"),
        (leaf("user", "<", 5, is_unit=True), ".<", "never_true"),
    ],
)
def test_a_bad_leaf_is_told_at_its_place(part: Leaf, path: str, code: str) -> None:
    """The place is that of the operator, the subject or the modifier that is wrong."""
    assert found(All((GOOD, Not(part)))) == [(f"spec.rules[2].when.all[1].not{path}", code)]


def test_every_bad_leaf_is_told() -> None:
    """All problems at once, in the order of the document."""
    bad = leaf("n", "<", "5")
    assert [path for path, _ in found(All((bad, GOOD, Any((bad, bad)))))] == [
        "spec.rules[2].when.all[0].<",
        "spec.rules[2].when.all[2].any[0].<",
        "spec.rules[2].when.all[2].any[1].<",
    ]


def test_too_deep_is_told_once_where_it_begins() -> None:
    """What lies below the limit is not looked at, however deep it is."""
    assert found(deep(CONDITION_DEPTH + 1)) == [("spec.rules[2].when" + ".not" * CONDITION_DEPTH, "too_deep")]
    assert len(found(deep(100_000))) == 1


def test_too_many_parts_are_told_once() -> None:
    """One part above the limit is one problem of the whole condition."""
    assert found(Any((GOOD,) * CONDITION_NODES)) == [("spec.rules[2].when", "too_many")]


def test_places_are_in_the_order_of_the_document() -> None:
    """Each part is named as it is written in files."""
    tree = Any((InCohort("a"), Not(InCohort("b"))))
    assert [place for _, place, _ in places(tree, "spec.when")] == [
        "spec.when",
        "spec.when.any[0]",
        "spec.when.any[1]",
        "spec.when.any[1].not",
    ]
