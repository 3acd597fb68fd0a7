from __future__ import annotations

from typing import Any as Parsed

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.explain import Explanation, explain
from rollout_sdk.engine.explain_conditions import Step
from rollout_sdk.engine.model import Cohort, Flag, Reason, Requirement, Target
from tests.odd_values import ODD_MAKERS, PLAIN_VALUES
from tests.rulesets import ORIGIN, bad_leaf, compiled, flag, leaf, ruleset, serve, split
from tests.vectors import reader

FULL = flag(
    "f",
    serve(leaf("email", "ends_with", "@example.com"), rule="staff"),
    split(250_000, leaf("country", "in", ("KR", "TH")), rule="launch"),
    serve(rule="rest", variant="off"),
    never=(leaf("regulated", "equals", operand=True),),
    requires=(Requirement("p", ("on",)),),
    targets=(Target("on", ("u-1",)),),
)
PARENT = flag("p", default="on")
CALM = {"regulated": False}


def explained(context: Context, *members: Flag | Cohort, killed: tuple[str, ...] = ()) -> Explanation:
    return explain(compiled(*(members or (FULL, PARENT)), killed=killed), ORIGIN, "f", context)


def outline(explanation: Explanation) -> list[tuple[str, str]]:
    return [(step.label, step.result) for step in explanation.steps if step.depth == 0]


@pytest.mark.parametrize("vector", reader.DECISIONS["decisions"], ids=lambda vector: vector["about"])
def test_vectors(vector: dict[str, Parsed]) -> None:
    """Every published decision is explained as it is decided, to the byte."""
    made = compile_ruleset(reader.ruleset(vector))
    for case in vector["cases"]:
        context = reader.context(case["context"])
        decision = made.bind(ORIGIN).decide(case["flag"], context)
        assert decision_json(explain(made, ORIGIN, case["flag"], context).decision) == decision_json(decision)


def test_every_step_of_the_order_is_there() -> None:
    """Also those that were not reached, so that a reader sees the whole flag."""
    assert outline(explained(Context("u-1", **CALM))) == [
        ("killed", "false"),
        ("never[0]", "false"),
        ("requires p", "true"),
        ("targets", "true"),
        ("rule staff", ""),
        ("rule launch", ""),
        ("rule rest", ""),
        ("default", ""),
    ]


def test_a_split_says_bucket_and_bounds() -> None:
    """The number that decided, and between which it lay."""
    explanation = explained(Context("u-2", country="TH", email="a@b.c", **CALM))
    step = next(step for step in explanation.steps if step.label == "rule launch")
    assert step == Step(0, "rule launch", "true", 'bucket 518207 of user "u-2" is in 250000..999999; serves "off"')


def test_a_split_without_the_unit_says_why_the_default_is_served() -> None:
    """The reason no_unit is explained where it arose and where it ended."""
    explanation = explained(Context(country="TH"), flag("f", split(5, leaf("country", "exists", operand=True))))
    assert [step.detail for step in explanation.steps if step.depth == 0][1:] == [
        'the context has no unit of kind "user", so the split passes it on',
        'serves "off"; a split matched, but the context has no unit of kind "user"',
    ]


def test_never_says_that_silence_counts() -> None:
    """Unknown is named as unknown, and as what it does."""
    explanation = explained(Context("u-1"))
    assert explanation.steps[1] == Step(0, "never[0]", "unknown", 'serves off, "off"; unknown counts as true in never')
    assert explanation.decision.reason is Reason.NEVER


def test_a_requirement_says_what_the_other_flag_serves() -> None:
    """With its reason and rule, and what was wanted."""
    parent = flag("p", serve(rule="all", variant="off"))
    step = explained(Context("u-2", **CALM), FULL, parent).steps[3]
    assert step == Step(0, "requires p", "false", 'p serves "off" (rule all); wanted: "on"')
    missing = explained(Context("u-2", **CALM), FULL).steps[3]
    assert missing.detail == 'p has no rules in force; wanted: "on"'


def test_a_killed_flag() -> None:
    """The first step answers."""
    explanation = explained(Context("u-1"), FULL, PARENT, killed=("f",))
    assert outline(explanation)[:2] == [("killed", "true"), ("never[0]", "")]
    assert explanation.decision.reason is Reason.KILLED


def test_unknown_and_broken_flags() -> None:
    """One step, which says what is wrong."""
    made = compiled(flag("bad", serve(bad_leaf())))
    assert explain(made, ORIGIN, "x", Context(), 5).steps[0].result == "unknown_flag"
    broken = explain(made, ORIGIN, "bad", Context(), 5)
    assert broken.steps == (
        Step(0, 'flag "bad"', "error", "rule 'r': country resembles: there is no operator 'resembles'"),
    )
    assert (broken.decision.value, broken.decision.reason) == (5, Reason.ERROR)


def test_a_quarantined_flag_says_so_first() -> None:
    """Then its last good rules are explained."""
    before = compiled(flag("f", serve(rule="good")))
    made = compile_ruleset(ruleset(flag("f", serve(bad_leaf()))), before)
    explanation = explain(made, ORIGIN, "f", Context())
    assert explanation.steps[0].label == "quarantined"
    assert "the last good rules decide" in explanation.steps[0].detail
    assert explanation.decision.rule == "good"


def test_any_key_and_context_are_survived() -> None:
    """An explanation is as total as a decision."""
    made = compiled(FULL, PARENT)
    values: list[Parsed] = [*PLAIN_VALUES, *(make() for make in ODD_MAKERS)]
    for value in values:
        assert explain(made, ORIGIN, value, value, value).decision.reason is Reason.UNKNOWN_FLAG
        attributes = dict.fromkeys(("regulated", "email", "country"), value)
        assert explain(made, ORIGIN, "f", Context("u-2", **attributes)).steps
        assert explain(made, ORIGIN, "f", value).decision.reason is Reason.NEVER
