"""Values of variants: each of its flag's type, and nothing that would come back different."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import INTEGER_MAX, INTEGER_MIN
from rollout_sdk.engine.model import Json, ValueType, Variant
from rollout_server.domain.files.shape import Reading, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

_FLOAT_EXACT_MAX = 2**53


def read_value(reading: Reading, value: object, path: str, value_type: ValueType | None) -> Json:
    """Return one variant's value; without a type it may be anything JSON knows."""
    match value_type:
        case ValueType.BOOLEAN:
            return reading.boolean(value, path)
        case ValueType.STRING:
            return reading.text(value, path, empty=True)
        case ValueType.INTEGER:
            return _integer(reading, value, path)
        case ValueType.FLOAT:
            return _float(reading, value, path)
        case _:
            return reading.value(value, path)


def _integer(reading: Reading, value: object, path: str) -> int:
    number = reading.integer(value, path)
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        reading.refuse(path, "wrong_type", "integers have at most 64 bits, signed", "use a string or a smaller number")
    return number


def _float(reading: Reading, value: object, path: str) -> float:
    number = reading.number(value, path)
    if isinstance(number, int) and abs(number) > _FLOAT_EXACT_MAX:
        reading.refuse(path, "wrong_type", "this whole number does not fit a float exactly", "use type: integer")
        return 0.0
    return float(number)


def infer_type(reading: Reading, variants: Sequence[Variant], path: str) -> ValueType:
    """Return the type that all values share: whole numbers beside fractions are floats, maps, lists and null json."""
    found = {_type_of(variant.value) for variant in variants}
    if found == {ValueType.INTEGER, ValueType.FLOAT}:
        return ValueType.FLOAT
    if len(found) > 1:
        kinds = ", ".join(f"{variant.key} is {describe(variant.value)}" for variant in variants[:4])
        reading.refuse(path, "mixed_types", f"the values are not of one type: {kinds}", "mend one, or write type: json")
    return found.pop() if found else ValueType.BOOLEAN


def _type_of(value: Json) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOLEAN
        case str():
            return ValueType.STRING
        case int():
            return ValueType.INTEGER
        case float():
            return ValueType.FLOAT
        case _:
            return ValueType.JSON
