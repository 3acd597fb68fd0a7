from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import Uncompilable
from rollout_sdk.engine.model import Json, Reason, ValueType, Variant
from rollout_sdk.engine.outcomes import Outcome, Outcomes, copy_json, value_as, variant_values
from tests.rulesets import flag


def test_the_same_outcome_has_the_same_number() -> None:
    """So that an answer is one object, however many ways lead to it."""
    outcomes = Outcomes({"on": True, "off": False})
    first = outcomes.number("on", Reason.RULE, "r")
    other = outcomes.number("off", Reason.DEFAULT)
    assert outcomes.number("on", Reason.RULE, "r") == first != other
    assert outcomes.table()[first] == Outcome("on", Reason.RULE, "r")


def test_a_variant_that_is_not_there_is_refused() -> None:
    """With the place that names it."""
    with pytest.raises(Uncompilable, match="rule 'r' names variant 'gone'"):
        Outcomes({"on": True}).number("gone", Reason.RULE, "r")
    with pytest.raises(Uncompilable, match="default names variant 'gone'"):
        Outcomes({"on": True}).number("gone", Reason.DEFAULT)


GOOD: dict[ValueType, list[Json]] = {
    ValueType.BOOLEAN: [True, False],
    ValueType.STRING: ["", "é"],
    ValueType.INTEGER: [0, limits.INTEGER_MIN, limits.INTEGER_MAX],
    ValueType.FLOAT: [0.5, -0.0, 1e308],
    ValueType.JSON: [None, True, 1, 0.5, "", [], {"a": [{"b": None}]}],
}


@pytest.mark.parametrize("value_type", ValueType)
def test_a_value_is_exactly_of_its_flags_type(value_type: ValueType) -> None:
    """True is no integer, 1 is no boolean, and only a whole number may stand for a float."""
    for other, values in GOOD.items():
        for value in values:
            if value_type is other or value_type is ValueType.JSON:
                assert value_as(value_type, value, "v") == value
            elif (value_type, other) == (ValueType.FLOAT, ValueType.INTEGER):
                assert type(value_as(value_type, value, "v")) is float
            elif other is not ValueType.JSON:
                with pytest.raises(Uncompilable, match="variant 'v' holds"):
                    value_as(value_type, value, "v")


@pytest.mark.parametrize(
    ("value_type", "value"),
    [
        (ValueType.FLOAT, float("nan")),
        (ValueType.FLOAT, float("inf")),
        (ValueType.INTEGER, 2**63),
        (ValueType.JSON, {"a": float("nan")}),
        (ValueType.JSON, [(1,)]),
        (ValueType.JSON, {1: 2}),
        (ValueType.BOOLEAN, None),
    ],
)
def test_values_that_no_wire_carries(value_type: ValueType, value: Json) -> None:
    """What JSON or 64 bits cannot say is refused."""
    with pytest.raises(Uncompilable):
        value_as(value_type, value, "v")


def test_nesting_is_bounded() -> None:
    """A deep value is refused, and without exhausting the stack."""
    deep: Json = 0
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Uncompilable, match="nested"):
        copy_json(deep)
    while type(deep) is list:  # so that freeing it does not exhaust the stack either
        deep = deep.pop()


def test_a_copy_shares_nothing_that_changes() -> None:
    """A caller who changes his copy changes nobody else's."""
    original: Json = {"a": [1, {"b": 2}]}
    copied = copy_json(original)
    assert copied == original
    assert isinstance(copied, dict)
    assert isinstance(original, dict)
    assert copied is not original
    assert copied["a"] is not original["a"]


@pytest.mark.parametrize(
    "variants",
    [(), (Variant("a", value=True),) * 2, tuple(Variant(str(number), value=True) for number in range(513))],
    ids=["none", "one key twice", "too many"],
)
def test_variants_are_told_apart(variants: tuple[Variant, ...]) -> None:
    """No variants, two of one key, or more than a reader takes: refused."""
    with pytest.raises(Uncompilable):
        variant_values(replace(flag(), variants=variants))
