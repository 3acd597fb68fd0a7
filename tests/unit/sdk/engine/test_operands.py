from __future__ import annotations

from typing import Any as Parsed

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.context import EMPTY
from rollout_sdk.engine.model import Leaf, Operand
from rollout_sdk.engine.operands import OPERATORS, check_leaf
from tests.odd_values import PLAIN_VALUES
from tests.vectors import reader

GOOD = {
    leaf.operator: leaf.operand
    for vector in reader.DECISIONS["conditions"]
    if isinstance(leaf := reader.condition(vector["when"]), Leaf)
}


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_published_is_good(name: str) -> None:
    """Every operator takes its published operand."""
    assert check_leaf(Leaf("a", name, GOOD[name])) is None


@pytest.mark.parametrize("name", OPERATORS)
def test_what_passes_compiles_and_what_fails_says_what_to_do(name: str) -> None:
    """The checker and the compiler agree on every operand at all; a fault has a code and a sentence."""
    operands: list[Parsed] = [
        *GOOD.values(),
        *PLAIN_VALUES,
        (1, 2),
        (2, 1),
        ("a", 1),
        (True, "a"),
        (None,),
        ((1,),),
        ("",),
        (0, 0),
        (5, -1),
        (1.5, 2),
        "1.x",
        "10.0.0.0/8",
        ("10.0.0.0/8", "x"),
        "string",
    ]
    for operand in operands:
        leaf = Leaf("a", name, operand)
        fault = check_leaf(leaf)
        if fault is None:
            assert compile_condition(leaf, {})(EMPTY) in (True, False, None)
        else:
            assert fault.code.isidentifier()
            assert 10 < len(fault.message) < 300


CASES: list[tuple[Leaf, str]] = [
    (Leaf("a", "resembles", 1), "unknown_operator"),
    (Leaf("", "equals", 1), "bad_subject"),
    (Leaf("a" * 257, "equals", 1), "too_long"),
    (Leaf("a", "equals", (1,)), "bad_operand"),
    (Leaf("a", "equals", "\ud800"), "bad_text"),
    (Leaf("a", "equals", "x" * (limits.OPERAND_TEXT_BYTES + 1)), "too_long"),
    (Leaf("a", "equals", 2**63), "out_of_range"),
    (Leaf("a", "<", True), "bad_operand"),
    (Leaf("a", "<", float("nan")), "bad_operand"),
    (Leaf("a", "<", 10**5000), "out_of_range"),
    (Leaf("a", "in", ()), "empty_list"),
    (Leaf("a", "in", "KR"), "bad_operand"),
    (Leaf("a", "in", ("a", 1)), "mixed_types"),
    (Leaf("a", "in", (True, 1)), "mixed_types"),
    (Leaf("a", "in", tuple(range(limits.VALUES_PER_OPERAND + 1))), "too_many"),
    (Leaf("a", "contains", ""), "bad_operand"),
    (Leaf("a", "starts_with", ("a", 1)), "bad_operand"),
    (Leaf("a", "regex", "("), "bad_regex"),
    (Leaf("a", "regex", "a" * (limits.REGEX_BYTES + 1)), "too_long"),
    (Leaf("a", "between", (2, 1)), "bad_operand"),
    (Leaf("a", "between", (1, 2, 3)), "bad_operand"),
    (Leaf("a", "semver", "latest"), "bad_semver"),
    (Leaf("a", "semver", 1.2), "bad_operand"),
    (Leaf("a", "before", "2026-12-01"), "bad_date"),
    (Leaf("a", "exists", 1), "bad_operand"),
    (Leaf("a", "type", "text"), "bad_operand"),
    (Leaf("a", "size", -1), "bad_operand"),
    (Leaf("a", "size", (2, 1)), "bad_operand"),
    (Leaf("a", "size", True), "bad_operand"),
    (Leaf("a", "cidr", "10.0.0.1/8"), "bad_cidr"),
    (Leaf("a", "cidr", ("10.0.0.0/8", "10.0.0")), "bad_cidr"),
    (Leaf("a", "modulo", (0, 0)), "bad_operand"),
    (Leaf("a", "modulo", (3, 3)), "bad_operand"),
    (Leaf("a", "equals", 1, ignore_case=True), "bad_ignore_case"),
    (Leaf("a", "semver", "1.x", ignore_case=True), "bad_ignore_case"),
    (Leaf("user", "<", 5, is_unit=True), "never_true"),
    (Leaf("user", "equals", 5, is_unit=True), "never_true"),
    (Leaf("user", "any_of", ("a",), is_unit=True), "never_true"),
]


@pytest.mark.parametrize(("leaf", "code"), CASES, ids=[f"{leaf.operator}-{code}" for leaf, code in CASES])
def test_faults(leaf: Leaf, code: str) -> None:
    """Each mistake has its own code."""
    fault = check_leaf(leaf)
    assert fault is not None
    assert fault.code == code


@pytest.mark.parametrize(
    ("name", "operand"),
    [
        ("in", tuple(range(limits.VALUES_PER_OPERAND * 2))),
        ("regex", "a" * limits.REGEX_BYTES * 2),
        ("equals", "x" * limits.OPERAND_TEXT_BYTES * 2),
    ],
)
def test_readers_take_twice_as_much(name: str, operand: Operand) -> None:
    """What a maker must not write yet, a reader accepts already."""
    assert check_leaf(Leaf("a", name, operand)) is not None
    assert check_leaf(Leaf("a", name, operand), limits.READERS_FACTOR) is None


def test_a_units_key_may_be_compared_as_text() -> None:
    """Every operator over text takes a unit."""
    for name, operand in GOOD.items():
        fault = check_leaf(Leaf("user", name, operand, is_unit=True))
        is_text = type(operand) is str or (name == "in" and type(operand) is tuple and type(operand[0]) is str)
        assert (fault is None) is (OPERATORS[name].takes_text or name in ("exists", "type") or is_text)
