from __future__ import annotations

import pytest

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.explain_conditions import STEPS_MAX, ConditionWalk, Step, leaf_label
from rollout_sdk.engine.model import All, Any, Cohort, Condition, Leaf, Not, OnMissing
from tests.rulesets import cohort, compiled, in_cohort, leaf

HELD, FAILED = leaf("t", "exists", operand=True), leaf("gone", "exists", operand=True)
UNKNOWN = leaf("gone", "equals", 1)


def walked(condition: Condition, context: Context, *cohorts: Cohort) -> list[tuple[int, str, str, str]]:
    steps: list[Step] = []
    ConditionWalk(steps, context, compiled(*cohorts).cohorts).walk(condition, 0)
    return [(step.depth, step.label, step.result, step.detail) for step in steps]


def test_each_node_is_a_step_below_its_parent() -> None:
    """In the order and in the words of files."""
    assert walked(All((HELD, Not(Any((FAILED,))))), Context(t=1)) == [
        (0, "all", "true", ""),
        (1, "attribute t exists true", "true", "t is 1"),
        (1, "not", "true", ""),
        (2, "any", "false", ""),
        (3, "attribute gone exists true", "false", "gone is missing"),
    ]


@pytest.mark.parametrize(
    ("condition", "results"),
    [
        (All((FAILED, HELD)), ["false", "false", ""]),
        (All((UNKNOWN, HELD)), ["unknown", "unknown", "true"]),
        (All((UNKNOWN, FAILED, HELD)), ["false", "unknown", "false", ""]),
        (Any((HELD, UNKNOWN)), ["true", "true", ""]),
        (Any((UNKNOWN, FAILED)), ["unknown", "unknown", "false"]),
        (Not(UNKNOWN), ["unknown", "unknown"]),
    ],
)
def test_what_is_decided_is_not_asked_further(condition: Condition, results: list[str]) -> None:
    """Steps after the deciding one are there, and not reached."""
    assert [result for _, _, result, _ in walked(condition, Context(t=1))] == results


def test_a_wrong_type_is_said() -> None:
    """The value, its class, and what on_missing made of it."""
    assert walked(leaf("age", ">", 3), Context(age="9")) == [
        (0, "attribute age > 3", "unknown", 'age is "9", a string: the wrong type')
    ]
    matching = Leaf("age", ">", 3, on_missing=OnMissing.MATCH)
    assert walked(matching, Context())[0][2:] == ("true", "age is missing; on_missing: match")


def test_units_and_modifiers_are_labelled() -> None:
    """As files write them."""
    assert leaf_label(Leaf("tenant", "in", ("t-1", "t-2"), is_unit=True)) == 'unit tenant in ["t-1", "t-2"]'
    assert leaf_label(Leaf("a", "equals", "x", ignore_case=True)) == 'attribute a equals "x" ignore_case'
    asked = Leaf("tenant", "equals", "t-1", is_unit=True)
    assert walked(asked, Context.of({"tenant": "t-1"}))[0][3] == 'unit tenant is "t-1"'


def test_a_cohort_says_how() -> None:
    """By name, excluded, by its condition, or for want of a unit."""
    members = cohort("c", ["in"], ["out"], when=HELD)
    assert walked(in_cohort(), Context("in"), members) == [(0, "cohort c", "true", "by name")]
    assert walked(in_cohort(), Context("out", t=1), members) == [(0, "cohort c", "false", "excluded by name")]
    assert walked(in_cohort(), Context("other", t=1), members)[0] == (0, "cohort c", "true", "by its condition")
    assert walked(in_cohort(), Context("other", t=1), members)[1][:3] == (1, "attribute t exists true", "true")
    assert walked(in_cohort(), Context(), members)[0][2:] == ("unknown", 'the context has no unit of kind "user"')
    assert walked(in_cohort(), Context("other"), cohort("c", ["in"]))[0][2:] == ("false", "not listed")


def test_steps_are_bounded() -> None:
    """Cohorts that name cohorts twice are answered beyond the bound, and not taken apart."""
    nested = [cohort(f"c{n}", when=All((in_cohort(f"c{n + 1}"), in_cohort(f"c{n + 1}")))) for n in range(14)]
    steps = walked(in_cohort("c0"), Context(t=1), *nested, cohort("c14", when=HELD))
    assert steps[0][:3] == (0, "cohort c0", "true")
    assert len(steps) < STEPS_MAX + 100
