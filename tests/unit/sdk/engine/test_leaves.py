from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.leaves import BUILDERS, build_test, parse_address
from rollout_sdk.engine.limits import SUBJECT_CHARS, SUBJECT_MEMBERS
from rollout_sdk.engine.model import Leaf, Operand
from rollout_sdk.engine.operands import OPERATORS
from rollout_sdk.engine.values import MISSING
from tests.odd_values import ODD_MAKERS, PLAIN_VALUES, Plan, hostile
from tests.vectors import reader

# The published leaves: one at least for each operator (test_conditions checks that, and their answers).
LEAVES = [
    leaf
    for vector in reader.DECISIONS["conditions"]
    if isinstance(leaf := reader.condition(vector["when"]), Leaf) and not leaf.is_unit
]
SCALARS = st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "a", "A", "1", ""])


def test_every_operator_can_be_built() -> None:
    """What the checker takes, the compiler builds."""
    assert BUILDERS.keys() == OPERATORS.keys()


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: f"{leaf.operator} {leaf.operand}"[:50])
def test_any_value_at_all_is_answered(leaf: Leaf) -> None:
    """True, false, or what was said for wrong values; nothing else and no exception."""
    for missing in (None, True, False):
        test = build_test(leaf, missing)
        for value in (MISSING, *PLAIN_VALUES, *(make() for make in ODD_MAKERS)):
            assert test(value) in (True, False, None)
        assert test(MISSING) is (leaf.operand is False if leaf.operator == "exists" else missing)


def test_subclasses_of_text_compare_as_text() -> None:
    """An enum of text matches, and nothing of it is called."""
    test = build_test(Leaf("a", "equals", "pro"), None)
    assert test(Plan.PRO) is True
    assert test(hostile(str, "pro")) is True


@given(value=SCALARS, operand=SCALARS)
def test_equality_is_of_value_and_class(value: bool | float | str, operand: bool | float | str) -> None:  # noqa: FBT001
    """True is not 1, 1 is 1.0, and text is no number; another class is unknown."""
    classes = {bool: "b", str: "s", int: "n", float: "n"}
    same_class = classes[type(value)] == classes[type(operand)]
    wanted = value == operand if same_class else None
    assert build_test(Leaf("a", "equals", operand), None)(value) is wanted
    assert build_test(Leaf("a", "in", (operand,)), None)(value) is wanted


@given(members=st.lists(SCALARS, max_size=4), operand=st.lists(SCALARS, min_size=1, max_size=3))
def test_lists_are_equality_in_kleenes_logic(
    members: list[bool | float | str], operand: list[bool | float | str]
) -> None:
    """any_of is "some member equals some value", all_of "every value is some member", none_of the denial of any_of."""

    def some(answers: list[bool | None]) -> bool | None:
        return True if True in answers else None if None in answers else False

    values: tuple[Operand, ...] = tuple(operand)
    tests = [build_test(Leaf("a", "equals", value), None) for value in values]
    # A member that no value could be compared with is unknown; one that some value can be compared with is not.
    by_member = [
        some([said for test in tests if (said := test(member)) is not None]) if any_known else None
        for member in members
        for any_known in [any(test(member) is not None for test in tests)]
    ]
    any_of = some(by_member)
    assert build_test(Leaf("a", "any_of", values), None)(members) is any_of
    assert build_test(Leaf("a", "none_of", values), None)(members) is (None if any_of is None else not any_of)
    found_all = all(any(test(member) is True for member in members) for test in tests)
    wanted = True if found_all else None if None in by_member else False
    assert build_test(Leaf("a", "all_of", values), None)(members) is wanted


@given(number=st.integers(-(10**30), 10**30), divisor=st.integers(1, 1000))
def test_modulo_has_a_remainder_that_is_not_negative(number: int, divisor: int) -> None:
    """Below zero too, so that a rule over ids has no gap."""
    hits = [r for r in range(divisor) if build_test(Leaf("a", "modulo", (divisor, r)), None)(number) is True]
    assert len(hits) == 1
    assert (number - hits[0]) % divisor == 0


@given(number=st.integers(0, 2**32 - 1), length=st.integers(0, 32))
def test_a_network_holds_the_addresses_that_share_its_prefix(number: int, length: int) -> None:
    """By the bits alone, for plain addresses and for those in IPv6 clothes."""
    bits = 32 - length
    base = number >> bits << bits
    dotted = ".".join(str(base >> shift & 255) for shift in (24, 16, 8, 0))
    test = build_test(Leaf("a", "cidr", f"{dotted}/{length}"), None)
    for other in (number, number ^ (1 << bits if bits < 32 else 0)):
        text = ".".join(str(other >> shift & 255) for shift in (24, 16, 8, 0))
        wanted = other >> bits == base >> bits
        assert test(text) is wanted
        assert test(f"::ffff:{text}") is wanted


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4/8", "01.2.3.4", "::1::", "x" * 100, "\uff11.2.3.4", "1.2.3.4\n"]
)
def test_what_is_no_address(text: str) -> None:
    """Nothing is guessed at."""
    assert parse_address(text) is None


def test_no_value_can_make_an_evaluation_long() -> None:
    """What would have to be read whole is read up to a limit; beyond, it is of the wrong type."""
    text, members = "x" * SUBJECT_CHARS, ["x"] * SUBJECT_MEMBERS
    for leaf, good, too_long in (
        (Leaf("a", "equals", "x", ignore_case=True), "X", text + "x"),
        (Leaf("a", "equals", text), text, text + "x"),
        (Leaf("a", "in", ("y", text)), text, text + "x"),
        (Leaf("a", "contains", ("y", "x")), text, text + "x"),
        (Leaf("a", "contains", "X", ignore_case=True), text, text + "x"),
        (Leaf("a", "starts_with", "X", ignore_case=True), text, text + "x"),
        (Leaf("a", "any_of", ("x",)), members, [*members, "x"]),
        (Leaf("a", "ends_with", "x"), text, text + "x"),
        (Leaf("a", "all_of", ("x",)), members, [*members, "x"]),
        (Leaf("a", "none_of", ("y",)), [text], [text + "x"]),
    ):
        test = build_test(leaf, None)
        assert test(good) is True
        assert test(too_long) is None


@pytest.mark.parametrize("ignore_case", [True, False])
def test_operators_over_text_take_the_same_text_for_readable(*, ignore_case: bool) -> None:
    """They are unknown over exactly the same values: proofs that an edit shrinks compare them."""
    tests = [
        build_test(Leaf("a", name, operand, ignore_case=ignore_case), None)
        for name in ("equals", "in", "starts_with", "ends_with", "contains")
        for operand in [("KR",) if name == "in" else "KR"]
    ]
    for value in (MISSING, *PLAIN_VALUES, *(make() for make in ODD_MAKERS), "KR" * SUBJECT_CHARS):
        assert len({test(value) is None for test in tests}) == 1
