"""Sameness is strict where `==` is not."""

from copy import deepcopy

import pytest

from rollout_sdk.engine.model import Leaf, Variant
from rollout_sdk.engine.sameness import same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, 1.0),
        ([True], [1]),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ((1, 2), (1, 2, 3)),
        ((1,), [1]),
        ("a", None),
        (Leaf("n", "equals", operand=True), Leaf("n", "equals", 1)),
        (Variant("on", 1), Variant("on", value=True)),
        (float("nan"), float("nan")),
    ],
)
def test_what_differs_in_value_or_type_is_not_the_same(one: object, other: object) -> None:
    """True is not 1, 1 is not 1.0, at any depth: a change of such a value is a change."""
    assert not same(one, other)


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "a", [1, {"a": [None]}], {"b": 1, "a": 2}, Leaf("n", "in", (1, 2)), Variant("on", {"a": [1]})],
)
def test_equal_copies_are_the_same(value: object) -> None:
    """What reads alike is the same, whichever object it is."""
    assert same(value, deepcopy(value))


def test_maps_are_the_same_in_any_order() -> None:
    """The order of a JSON map is no difference."""
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
