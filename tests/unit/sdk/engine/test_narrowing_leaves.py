"""Leaves compared: subsets that a person can see are found, and nothing else is claimed."""

import pytest

from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.model import Leaf, OnMissing
from rollout_sdk.engine.narrowing_leaves import extent_of, leaf_at_most, leaves_exclude
from tests.random_worlds import Dice
from tests.small_world import leaf


def at_most(one: Leaf, other: Leaf) -> bool:
    return leaf_at_most(one, other, extent_of(one), extent_of(other))


NARROWER = [
    (leaf("c", "equals", "KR"), leaf("c", "in", ("KR", "TH"))),
    (leaf("c", "in", ("KR",)), leaf("c", "equals", "KR")),
    (leaf("c", "in", ("KR", "TH")), leaf("c", "in", ("JP", "KR", "TH"))),
    (leaf("c", "equals", "kr", ignore_case=True), leaf("c", "in", ("KR", "TH"), ignore_case=True)),
    (leaf("n", "equals", 1), leaf("n", "in", (1.0, 2))),
    (leaf("b", "equals", operand=True), leaf("b", "in", (True, False))),
    (leaf("e", "equals", "a@x.com"), leaf("e", "ends_with", "@x.com")),
    (leaf("e", "starts_with", "abc"), leaf("e", "starts_with", ("ab", "x"))),
    (leaf("e", "starts_with", ("abc", "abd")), leaf("e", "starts_with", "ab")),
    (leaf("e", "ends_with", "bc"), leaf("e", "ends_with", "c")),
    (leaf("e", "ends_with", "bc"), leaf("e", "contains", "b")),
    (leaf("e", "contains", "abc"), leaf("e", "contains", "b")),
    (leaf("n", "<", 3), leaf("n", "<=", 3)),
    (leaf("n", "<", 3), leaf("n", "<", 4)),
    (leaf("n", ">", 3), leaf("n", ">=", 3)),
    (leaf("n", "between", (1, 2)), leaf("n", "between", (0, 2))),
    (leaf("n", "between", (1, 2)), leaf("n", ">", 0)),
    (leaf("n", "in", (1, 2)), leaf("n", "between", (1, 2))),
    (leaf("n", ">", 2**53), leaf("n", ">=", float(2**53))),
    (leaf("t", "size", 2), leaf("t", "size", (1, 3))),
    (leaf("t", "any_of", ("a",)), leaf("t", "any_of", ("a", "b"))),
    (leaf("t", "all_of", ("a", "b")), leaf("t", "all_of", ("a",))),
    (leaf("t", "none_of", ("a", "b")), leaf("t", "none_of", ("a",))),
    (leaf("v", "semver", "~1.2.3"), leaf("v", "semver", "^1.2")),
    (leaf("v", "semver", ">=1.2.0 <1.5.0"), leaf("v", "semver", "1.x || 3.x")),
    (leaf("d", "before", "2026-01-01T00:00:00Z"), leaf("d", "before", "2026-01-02T00:00:00Z")),
    (leaf("d", "after", "2026-01-01T00:00:00Z"), leaf("d", "after", "2026-01-01T08:00:00+09:00")),
    (leaf("i", "cidr", "10.1.0.0/16"), leaf("i", "cidr", ("10.0.0.0/8", "::1"))),
    (leaf("u", "in", ("u-1",), is_unit=True), leaf("u", "in", ("u-1", "u-2"), is_unit=True)),
]


@pytest.mark.parametrize(("narrow", "wide"), NARROWER)
def test_a_subset_is_found_and_not_turned_round(narrow: Leaf, wide: Leaf) -> None:
    """The narrower leaf is at most the wider one, and not the other way unless they say the same."""
    assert at_most(narrow, wide)
    assert at_most(wide, narrow) is (extent_of(narrow) == extent_of(wide))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (leaf("c", "equals", "KR"), leaf("d", "equals", "KR")),
        (leaf("c", "equals", "KR"), leaf("c", "equals", "KR", is_unit=True)),
        (leaf("c", "equals", "KR"), leaf("c", "equals", "kr", ignore_case=True)),
        (leaf("n", "equals", 1), leaf("n", "equals", operand=True)),
        (leaf("n", "equals", 1), leaf("n", "in", ("1", "2"))),
        (leaf("n", "equals", "1"), leaf("n", "<", 2)),
        (leaf("n", "<=", 3), leaf("n", "<", 3)),
        (leaf("n", "between", (0, 3)), leaf("n", "between", (1, 2))),
        (leaf("n", "<", 3), leaf("n", ">", 3)),
        (leaf("t", "size", 2), leaf("t", "<=", 2)),
        (leaf("t", "any_of", ("a",)), leaf("t", "any_of", ("a", 1))),
        (leaf("t", "any_of", ("a",)), leaf("t", "all_of", ("a",))),
        (leaf("e", "starts_with", "ab"), leaf("e", "ends_with", "b")),
        (leaf("e", "contains", "ab"), leaf("e", "starts_with", "a")),
        (leaf("e", "regex", "^ab"), leaf("e", "regex", "^a")),
        (leaf("v", "semver", "^1"), leaf("v", "semver", "^2")),
        (leaf("v", "semver", "nonsense"), leaf("v", "semver", "*")),
        (leaf("d", "before", "soon"), leaf("d", "before", "2026-01-02T00:00:00Z")),
        (leaf("d", "before", "2026-01-02T00:00:00Z"), leaf("n", "<", 1)),
        (leaf("i", "cidr", "10.0.0.0/8"), leaf("i", "cidr", "::/0")),
        (leaf("i", "cidr", "nowhere"), leaf("i", "cidr", "::/0")),
        (leaf("n", "modulo", (4, 0)), leaf("n", "modulo", (2, 0))),
        (leaf("n", "between", (1, "x")), leaf("n", ">", 0)),
        (leaf("n", "<", float("nan")), leaf("n", "<", 3)),
        (leaf("n", "in", ()), leaf("n", "in", (1,))),
    ],
)
def test_what_cannot_be_compared_is_not_claimed(one: Leaf, other: Leaf) -> None:
    """Other subjects, other classes of values, wider ones and operators that are not understood: no claim."""
    assert not at_most(one, other)


def test_the_same_leaf_is_at_most_itself_whatever_its_operator() -> None:
    """An operator that is not understood is still the same as itself."""
    assert at_most(leaf("n", "modulo", (4, 0)), leaf("n", "modulo", (4, 0)))
    assert at_most(leaf("x", "of tomorrow", "?"), leaf("x", "of tomorrow", "?"))


def test_silence_counts() -> None:
    """A leaf that says more over what is missing is not at most one that says less."""
    quiet, unknown, loud = (
        leaf("c", "equals", "KR", on_missing=each) for each in (OnMissing.NO_MATCH, OnMissing.UNKNOWN, OnMissing.MATCH)
    )
    assert at_most(quiet, unknown)
    assert at_most(unknown, loud)
    assert not at_most(unknown, quiet)
    assert not at_most(loud, unknown)


EXCLUSIVE = [
    (leaf("c", "equals", "KR"), leaf("c", "equals", "TH")),
    (leaf("c", "in", ("KR", "JP")), leaf("c", "in", ("TH", "VN"))),
    (leaf("c", "equals", "kr", ignore_case=True), leaf("c", "equals", "TH", ignore_case=True)),
    (leaf("n", "equals", 1), leaf("n", "equals", "1")),
    (leaf("n", "equals", 1), leaf("n", "equals", operand=True)),
    (leaf("n", "<", 3), leaf("n", ">", 5)),
    (leaf("n", "<", 3), leaf("n", ">=", 3)),
    (leaf("n", "between", (1, 2)), leaf("n", "in", (3, 4))),
    (leaf("n", ">", 5), leaf("n", "equals", "many")),
    (leaf("t", "size", 2), leaf("t", "size", (3, 9))),
    (leaf("d", "before", "2026-01-01T00:00:00Z"), leaf("d", "after", "2026-01-02T00:00:00Z")),
    (leaf("user", "equals", "a", is_unit=True), leaf("user", "in", ("b", "c"), is_unit=True)),
]
COMPATIBLE = [
    (leaf("c", "equals", "KR"), leaf("d", "equals", "TH")),
    (leaf("c", "equals", "KR"), leaf("c", "in", ("KR", "TH"))),
    (leaf("c", "equals", "KR"), leaf("c", "equals", "kr", ignore_case=True)),
    (leaf("c", "equals", "KR"), leaf("c", "starts_with", "TH")),
    (leaf("c", "equals", "KR", on_missing=OnMissing.MATCH), leaf("c", "equals", "TH")),
    (leaf("n", "<=", 3), leaf("n", ">=", 3)),
    (leaf("n", "between", (1, 2)), leaf("n", "in", (2, 4))),
    (leaf("d", "before", "2026-01-01T00:00:00Z"), leaf("d", "equals", "2025-01-01T00:00:00Z")),
    (leaf("user", "equals", "a", is_unit=True), leaf("user", "equals", "b")),
]


@pytest.mark.parametrize(("one", "other"), EXCLUSIVE)
def test_what_excludes_each_other(one: Leaf, other: Leaf) -> None:
    """Values and ranges apart, and values of different classes; in either order."""
    assert leaves_exclude(one, other)
    assert leaves_exclude(other, one)


@pytest.mark.parametrize(("one", "other"), COMPATIBLE)
def test_what_may_both_be_true_is_left_open(one: Leaf, other: Leaf) -> None:
    """Nothing is claimed that cannot be seen."""
    assert not leaves_exclude(one, other)
    assert not leaves_exclude(other, one)


def test_what_excludes_each_other_is_never_true_together() -> None:
    """Over random leaves and contexts."""
    found = 0
    for seed in range(3_000):
        dice = Dice(seed)
        one, other = dice.leaf(), dice.leaf()
        if not leaves_exclude(one, other):
            continue
        found += 1
        asked = [compile_condition(each, {}) for each in (one, other)]
        for _ in range(20):
            context = dice.context()
            assert not all(each(context) is True for each in asked), (one, other, context)
    assert found > 30
