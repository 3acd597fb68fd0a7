from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from types import CodeType, FunctionType
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.conditions import Asked, compile_condition
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.generated import LEAVES_MAX, Ready, generate
from rollout_sdk.engine.limits import SUBJECT_CHARS
from rollout_sdk.engine.model import All, Any, Condition, Not, OnMissing
from rollout_sdk.engine.rows import rows
from tests.evaluation_worlds import World, seeded
from tests.odd_values import odd_value
from tests.rulesets import leaf

DEFAULT, NO_UNIT = 100, 101


class Quick(Protocol):
    """`generate`, or `rows`."""

    def __call__(
        self, rules: Sequence[Ready], cohorts: Mapping[str, Asked], default: int, no_unit: int
    ) -> Callable[[Context], int] | None:
        """See `generate`."""


class Country(StrEnum):
    THAILAND = "TH"


def ready(*conditions: Condition | None) -> list[Ready]:
    """Rules that serve 0, 1, 2 ..."""
    return [
        Ready(when, None if when is None else compile_condition(when, {}), number, None)
        for number, when in enumerate(conditions)
    ]


both = pytest.mark.parametrize("quick", [generate, rows], ids=["generated", "rows"])
"""What the pure engine takes, and what the compiled one does: neither may answer otherwise than the closures."""


def answer(quick: Quick, rules: list[Ready], context: Context) -> int:
    function = quick(rules, {}, DEFAULT, NO_UNIT)
    assert function is not None
    return function(context)


def code(function: object) -> CodeType:
    assert isinstance(function, FunctionType)
    return function.__code__


@both
@given(seed=st.integers(0, 2**32 - 1))
def test_it_answers_as_the_closures_do(quick: Quick, seed: int) -> None:
    """For conditions of every operator, cohorts among them, and contexts that hold anything."""
    world = World(seeded(seed), flags=0)
    cohorts = {key: each.asked for key, each in compile_ruleset(world.ruleset()).cohorts.items()}
    conditions = [world.condition(list(cohorts)) for _ in range(4)]
    rules = [Ready(when, compile_condition(when, cohorts), number, None) for number, when in enumerate(conditions)]
    function = quick(rules, cohorts, DEFAULT, NO_UNIT)
    if function is None:  # closures are as quick
        assert quick is rows
        return
    for context in (world.context(), world.odd_context()):
        first = next((rule.number for rule in rules if rule.asked is not None and rule.asked(context)), DEFAULT)
        assert function(context) == first


@pytest.mark.parametrize(
    "when",
    [
        leaf("x", "equals", "a"),
        leaf("x", "in", ("a", "b")),
        leaf("x", "<", 3),
        leaf("x", "<=", 3),
        leaf("x", ">", 3),
        leaf("x", ">=", 3),
        leaf("x", "starts_with", "a"),
        leaf("x", "ends_with", "a"),
    ],
    ids=lambda when: when.operator,
)
@both
def test_odd_values_are_left_to_the_leaf(quick: Quick, when: Condition) -> None:
    """Nothing of a caller's runs, and nothing is true that the leaf does not call true."""
    random = seeded(7)
    asked, rules = compile_condition(when, {}), ready(when)
    for _ in range(500):
        context = Context("u-1", x=odd_value(random))
        assert (answer(quick, rules, context) == 0) is (asked(context) is True)


@both
def test_subclasses_of_text_count_as_text(quick: Quick) -> None:
    """As in the closures: a StrEnum is what it stores."""
    assert answer(quick, ready(leaf("country", "in", ("TH",))), Context("u-1", country=Country.THAILAND)) == 0


@both
def test_text_that_is_too_long_matches_nothing(quick: Quick) -> None:
    """Not even its own beginning or end."""
    long = "a" * (SUBJECT_CHARS + 1)
    rules = ready(leaf("x", "starts_with", "a"), leaf("x", "ends_with", "a"))
    assert answer(quick, rules, Context("u-1", x=long)) == DEFAULT
    assert answer(quick, rules, Context("u-1", x=long[1:])) == 0


@both
def test_true_over_a_missing_attribute_stays_true(quick: Quick) -> None:
    """`on_missing: match` is asked of the leaf itself."""
    rules = ready(leaf("y", "equals", "b"), replace(leaf("x", "equals", "a"), on_missing=OnMissing.MATCH))
    assert answer(quick, rules, Context("u-1")) == 1
    assert answer(quick, rules, Context("u-1", x="b")) == DEFAULT


@both
def test_conditions_of_conditions(quick: Quick) -> None:
    """All, any and not; of an unknown and a false, none is true."""
    both = All((leaf("a", "equals", "1"), Any((leaf("b", "<", 5), leaf("c", "exists", operand=True)))))
    rules = ready(both, Not(leaf("a", "equals", "1")))
    assert answer(quick, rules, Context("u-1", a="1", b=4)) == 0
    assert answer(quick, rules, Context("u-1", a="1", b=9, c=None)) == 0
    assert answer(quick, rules, Context("u-1", a="1", b=9)) == DEFAULT
    assert answer(quick, rules, Context("u-1", a="2")) == 1
    assert answer(quick, rules, Context("u-1")) == DEFAULT


@both
def test_a_split_without_its_unit_passes_on_and_says_so(quick: Quick) -> None:
    """The next rule is asked; where none answers, the number says that a unit was missing."""
    rules = [
        Ready(None, None, -1, lambda context: 7 if "user" in context.units else None),
        *ready(leaf("x", "equals", "a")),
    ]
    assert answer(quick, rules, Context("u-1")) == 7
    assert answer(quick, rules, Context(None, x="a")) == 0
    assert answer(quick, rules, Context(None)) == NO_UNIT


def test_flags_of_one_shape_share_their_code() -> None:
    """And with other operands: no name and no operand is in it, only the numbers of outcomes."""
    one = generate(ready(leaf("country", "in", ("TH",))), {}, DEFAULT, NO_UNIT)
    other = generate(ready(leaf("__import__('os')", "in", ('"); import os; ("',))), {}, DEFAULT, NO_UNIT)
    assert one is not None
    assert other is not None
    assert code(one) is code(other)
    assert not [each for each in code(one).co_consts if isinstance(each, str)]


def test_very_many_leaves_stay_closures() -> None:
    """Code for them would take milliseconds to make, at somebody's first decision."""
    assert generate(ready(*[leaf("x", "equals", "a")] * LEAVES_MAX), {}, DEFAULT, NO_UNIT) is not None
    assert generate(ready(*[leaf("x", "equals", "a")] * (LEAVES_MAX + 1)), {}, DEFAULT, NO_UNIT) is None
