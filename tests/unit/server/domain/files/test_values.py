"""Values of variants."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Json, ValueType, Variant
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.files.values import infer_type, read_value


@pytest.mark.parametrize(
    ("value_type", "value", "read"),
    [
        (ValueType.BOOLEAN, True, True),
        (ValueType.STRING, "", ""),
        (ValueType.INTEGER, 3, 3),
        (ValueType.INTEGER, 3.0, 3),
        (ValueType.FLOAT, 3, 3.0),
        (ValueType.FLOAT, 0.5, 0.5),
        (ValueType.JSON, {"a": [1, None]}, {"a": [1, None]}),
        (None, [], []),
    ],
)
def test_values_are_of_their_type(value_type: ValueType | None, value: object, read: Json) -> None:
    """A whole number in a float flag is a float from the start, so that no decision changes type."""
    reading = Reading()
    found = read_value(reading, value, "p", value_type)
    assert reading.problems == []
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("value_type", "value"),
    [
        (ValueType.BOOLEAN, "true"),
        (ValueType.BOOLEAN, 1),
        (ValueType.STRING, 1),
        (ValueType.INTEGER, 1.5),
        (ValueType.INTEGER, 2**63),
        (ValueType.INTEGER, True),
        (ValueType.FLOAT, 2**53 + 1),
        (ValueType.FLOAT, float("nan")),
        (ValueType.JSON, {"a": {1, 2}}),
        (ValueType.JSON, "\ud800"),
    ],
)
def test_values_of_another_type_are_refused(value_type: ValueType, value: object) -> None:
    """Nothing is converted that would come back different."""
    reading = Reading()
    read_value(reading, value, "p", value_type)
    assert len(reading.problems) == 1


@pytest.mark.parametrize(
    ("values", "value_type"),
    [
        ([True, False], ValueType.BOOLEAN),
        (["a"], ValueType.STRING),
        ([1, 2], ValueType.INTEGER),
        ([1, 2.5], ValueType.FLOAT),
        ([{}, [], None], ValueType.JSON),
    ],
)
def test_the_type_follows_from_the_values(values: list[Json], value_type: ValueType) -> None:
    """Where all values are of one type, the file need not say it."""
    reading = Reading()
    assert infer_type(reading, [Variant(str(n), value) for n, value in enumerate(values)], "p") is value_type
    assert reading.problems == []


def test_mixed_values_ask_for_the_type() -> None:
    """A boolean beside a text is a slip more often than a wish for json."""
    reading = Reading()
    infer_type(reading, [Variant("a", True), Variant("b", "x")], "p")
    assert 'a is the boolean true, b is the text "x"' in str(reading.problems[0])
