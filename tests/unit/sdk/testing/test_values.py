"""Flags made from plain values."""

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Position, Ruleset, ValueType
from rollout_sdk.engine.validate import validate
from rollout_sdk.testing.values import flag_of


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (True, ValueType.BOOLEAN),
        (False, ValueType.BOOLEAN),
        ("", ValueType.STRING),
        (0, ValueType.INTEGER),
        (0.0, ValueType.FLOAT),
        (None, ValueType.JSON),
        ([1, {"a": None}], ValueType.JSON),
    ],
)
def test_every_value_makes_a_valid_flag_of_its_type(value: object, type_: ValueType) -> None:
    """One that a server would take."""
    flag = flag_of("a", value)  # type: ignore[arg-type] # JSON, all of it
    assert flag.type is type_
    assert validate({"a": flag}, {}, {}) == ()
    compiled = compile_ruleset(Ruleset(Position("e", 1), {"a": flag}, {}, {}))
    assert compiled.quarantined == {}


@pytest.mark.parametrize("value", [{1}, object(), float("inf"), {"a": float("nan")}, b"x"])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    """With the flag's name."""
    with pytest.raises(ValueError, match="flag 'a': its value is no JSON"):
        flag_of("a", value)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("key", ["", "A", "a b", "-a", "ä", "a" * 129])
def test_a_key_that_no_flag_can_have_is_refused(key: str) -> None:
    """A file would not get away with it either."""
    with pytest.raises(ValueError, match="cannot name a flag"):
        flag_of(key, value=True)
