"""Values of variants."""

import pytest

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.limits import INTEGER_MAX, INTEGER_MIN, JSON_BYTES, JSON_DEPTH
from rollout_sdk.engine.model import ValueType
from rollout_sdk.engine.validate_values import check_value


def codes(value: object, value_type: ValueType) -> list[str]:
    findings = Findings("flag/f")
    check_value(findings, value, value_type, "spec.variants.on")
    assert all(problem.path == "spec.variants.on" for problem in findings.problems)
    return [problem.code for problem in findings.problems]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "value_type"),
    [
        (True, ValueType.BOOLEAN),
        ("", ValueType.STRING),
        (INTEGER_MAX, ValueType.INTEGER),
        (INTEGER_MIN, ValueType.INTEGER),
        (1.5, ValueType.FLOAT),
        (None, ValueType.JSON),
        ({"a": [1, 2.5, "x", None, True]}, ValueType.JSON),
        (nested(JSON_DEPTH), ValueType.JSON),
        ("x" * (JSON_BYTES - 2), ValueType.STRING),
    ],
)
def test_values_of_the_flags_type_pass(value: object, value_type: ValueType) -> None:
    """Whatever comes back from JSON and the wire as it went is fine, up to the limits."""
    assert codes(value, value_type) == []


@pytest.mark.parametrize(
    ("value", "value_type", "code"),
    [
        (True, ValueType.INTEGER, "wrong_type"),
        (1, ValueType.BOOLEAN, "wrong_type"),
        (1, ValueType.FLOAT, "wrong_type"),
        (1.0, ValueType.INTEGER, "wrong_type"),
        (None, ValueType.STRING, "wrong_type"),
        ({}, ValueType.STRING, "wrong_type"),
        (INTEGER_MAX + 1, ValueType.INTEGER, "out_of_range"),
        (float("nan"), ValueType.FLOAT, "not_finite"),
        (float("inf"), ValueType.FLOAT, "not_finite"),
        ({"a": [float("-inf")]}, ValueType.JSON, "not_finite"),
        ({"a": INTEGER_MIN - 1}, ValueType.JSON, "out_of_range"),
        ({1: "a"}, ValueType.JSON, "wrong_type"),
        ([(1,)], ValueType.JSON, "wrong_type"),
        (["\ud800"], ValueType.JSON, "bad_text"),
        ("\ud800", ValueType.STRING, "bad_text"),
        (nested(JSON_DEPTH + 1), ValueType.JSON, "too_deep"),
        (nested(100_000), ValueType.JSON, "too_deep"),
        ("x" * (JSON_BYTES - 1), ValueType.STRING, "too_large"),
        (["é" * JSON_BYTES], ValueType.JSON, "too_large"),
    ],
    ids=[f"case {at}" for at in range(19)],
)
def test_other_values_are_problems(value: object, value_type: ValueType, code: str) -> None:
    """A boolean is no integer, an integer no float; nothing beyond 64 bits, not finite, not Unicode, deep or large."""
    assert codes(value, value_type) == [code]
