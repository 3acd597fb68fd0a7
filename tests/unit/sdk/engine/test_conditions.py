from __future__ import annotations

from itertools import product
from typing import Any as Parsed

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import OPERATORS, Uncompilable, compile_condition, value_of
from rollout_sdk.engine.context import EMPTY, Context
from rollout_sdk.engine.model import All, Any, Condition, InCohort, Leaf, Not, OnMissing
from rollout_sdk.engine.values import MISSING
from tests.odd_values import Colliding, hostile
from tests.rulesets import bad_leaf, compiled, flag, in_cohort, leaf, serve
from tests.vectors import reader

TRUE = leaf("t", "exists", operand=True)
FALSE = Not(TRUE)
UNKNOWN = leaf("missing", "equals", "x")
CONTEXT = Context("u-1", t=1)


@pytest.mark.parametrize("vector", reader.DECISIONS["conditions"], ids=lambda vector: str(vector["when"])[:70])
def test_vectors(vector: dict[str, Parsed]) -> None:
    """Every published answer holds: each operator over good, missing and wrong values, cohorts, and Kleene's tables."""
    condition = reader.condition(vector["when"])
    cohorts = compiled(*reader.cohorts(vector.get("cohorts", {})).values()).cohorts
    asked = compile_condition(condition, {key: cohort.asked for key, cohort in cohorts.items()})
    for document, answer in vector["cases"]:
        assert asked(reader.context(document)) is answer, document


def test_the_vectors_hold_every_operator_with_every_answer() -> None:
    """No operator is without a published true, false and unknown, but those that are never unknown."""
    answers: dict[str, set[bool | None]] = {}
    for vector in reader.DECISIONS["conditions"]:
        for name in vector["when"].keys() & OPERATORS.keys():
            answers.setdefault(name, set()).update(answer for _, answer in vector["cases"])
    assert answers.pop("exists") == {True, False}
    assert answers == {name: {True, False, None} for name in OPERATORS if name != "exists"}


@pytest.mark.parametrize("parts", list(product([TRUE, FALSE, UNKNOWN], repeat=3)))
def test_three_parts_are_two_and_one(parts: tuple[Condition, Condition, Condition]) -> None:
    """Conjunction and disjunction associate, so nesting never changes an answer."""
    first, second, third = parts
    for kind in (All, Any):
        flat = compile_condition(kind(parts), {})
        nested = compile_condition(kind((kind((first, second)), third)), {})
        assert flat(CONTEXT) is nested(CONTEXT)


def test_an_attribute_with_the_whole_path_as_its_name_wins() -> None:
    """Dots are looked into only where nothing has that name, null included."""
    asked = Leaf("plan.tier", "type", "null")
    assert compile_condition(asked, {})(Context.of({}, {"plan.tier": None, "plan": {"tier": "pro"}})) is True


def test_on_missing_speaks_for_wrong_values_too() -> None:
    """Whoever says what silence means says it for nonsense as well."""
    for on_missing, answer in ((OnMissing.MATCH, True), (OnMissing.NO_MATCH, False), (OnMissing.UNKNOWN, None)):
        asked = compile_condition(Leaf("a", "<", 5, on_missing=on_missing), {})
        assert asked(Context(a="five")) is asked(EMPTY) is answer


@pytest.mark.parametrize("path", ["a", "a.tier", "a.b.c"])
def test_no_callers_code_runs_and_nothing_escapes(path: str) -> None:
    """A map whose keys refuse to be compared is a value of the wrong type, not an error."""
    for name in OPERATORS:
        operand = next(
            vector["when"][name]
            for vector in reader.DECISIONS["conditions"]
            if name in vector["when"] and "attribute" in vector["when"]
        )
        asked = compile_condition(reader.condition({"attribute": path, name: operand}), {})
        for value in ({Colliding("tier"): 1}, hostile(dict, {"tier": 1}), hostile(object), [hostile(str, "KR")]):
            assert asked(Context(a=value)) in (True, False, None)


def test_an_odd_name_of_an_attribute_is_survived() -> None:
    """Even the caller's own map of attributes may hold a key that refuses to be compared."""

    class Name(str):  # noqa: SLOT000 - a caller's subclass of str itself
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            raise ValueError

    context = Context(**{Name("a"): 1})
    assert compile_condition(leaf("a", "equals", 1), {})(context) in (True, None)
    assert value_of(leaf("a", "equals", 1), context) in (1, MISSING)


def test_the_value_behind_a_leaf() -> None:
    """Explanations look where leaves look."""
    context = Context("u-1", plan={"tier": "pro"})
    assert value_of(leaf("plan.tier", "exists", operand=True), context) == "pro"
    assert value_of(Leaf("user", "exists", operand=True, is_unit=True), context) == "u-1"
    assert value_of(leaf("nothing.here", "exists", operand=True), context) is MISSING


def nested(levels: int) -> Condition:
    condition: Condition = TRUE
    for _ in range(levels - 1):
        condition = Not(condition)
    return condition


@pytest.mark.parametrize(
    ("what", "condition", "message"),
    [
        ("operator", bad_leaf(), "no operator 'resembles'"),
        ("cohort", in_cohort("gone"), "no cohort 'gone'"),
        ("depth", nested(limits.CONDITION_DEPTH * 2 + 1), "levels"),
        ("far too deep", nested(100_000), "levels"),
        ("nodes", All((TRUE,) * limits.CONDITION_NODES * 2), "nodes"),
        ("inside", Any((TRUE, Not(bad_leaf()))), "no operator"),
    ],
)
def test_what_cannot_be_compiled_is_said(what: str, condition: Condition, message: str) -> None:
    """The reader refuses by name, and without exhausting its stack."""
    with pytest.raises(Uncompilable, match=message):
        compile_condition(condition, {})


def test_readers_accept_twice_what_makers_may() -> None:
    """A later maker with higher limits does not break this reader at once."""
    assert compile_condition(nested(limits.CONDITION_DEPTH * 2), {})(CONTEXT) is not None
    assert compile_condition(All((TRUE,) * (limits.CONDITION_NODES * 2 - 1)), {})(CONTEXT) is True


def test_an_excluded_unit_is_no_member_whatever_else_holds() -> None:
    """Exclusion answers before the condition is even asked."""
    members = compiled(
        flag("f", serve(InCohort("c"))),
        *reader.cohorts(
            {"c": {"unit": "user", "exclude": ["u-1"], "when": {"attribute": "t", "exists": True}}}
        ).values(),
    ).cohorts["c"]
    assert members.asked(CONTEXT) is False
    assert members.asked(Context("u-2", t=1)) is True


def test_equal_leaves_are_compiled_once_and_classes_tell_them_apart() -> None:
    """True equals 1 in Python, and is another operand here."""
    one, true = leaf("x", "equals", 1), leaf("x", "equals", operand=True)
    assert compile_condition(one, {}) is compile_condition(leaf("x", "equals", 1), {})
    assert compile_condition(one, {}) is not compile_condition(true, {})
    assert compile_condition(true, {})(Context(None, x=True)) is True
    assert compile_condition(one, {})(Context(None, x=True)) is None


def test_large_leaves_are_compiled_each_time() -> None:
    """What is shared outlives its ruleset, so it has to be small."""
    many = leaf("x", "in", tuple(f"v-{number}" for number in range(100)))
    assert compile_condition(many, {}) is not compile_condition(many, {})
