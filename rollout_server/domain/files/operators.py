"""What stands beside each operator in a file. What it means is `rollout_sdk.engine.conditions`."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class OperandShape(Enum):
    """Shape of an operand, in the words of an error."""

    SCALAR = "text, a number, true or false"
    SCALARS = "a list of texts, numbers, true or false"
    TEXT = "text"
    TEXTS = "text, or a list of texts"
    NUMBER = "a number"
    NUMBER_PAIR = "a list of two numbers, [low, high]"
    BOOLEAN = "true or false"
    TYPE = "one of boolean, string, number, list, map, null"
    SIZE = "a whole number, or a list of two, [min, max]"
    INTEGER_PAIR = "a list of two whole numbers, [divisor, remainder]"


SHAPES: Mapping[str, OperandShape] = MappingProxyType(
    {
        "equals": OperandShape.SCALAR,
        "in": OperandShape.SCALARS,
        "starts_with": OperandShape.TEXTS,
        "ends_with": OperandShape.TEXTS,
        "contains": OperandShape.TEXTS,
        "regex": OperandShape.TEXT,
        "<": OperandShape.NUMBER,
        "<=": OperandShape.NUMBER,
        ">": OperandShape.NUMBER,
        ">=": OperandShape.NUMBER,
        "between": OperandShape.NUMBER_PAIR,
        "semver": OperandShape.TEXT,
        "before": OperandShape.TEXT,
        "after": OperandShape.TEXT,
        "exists": OperandShape.BOOLEAN,
        "type": OperandShape.TYPE,
        "any_of": OperandShape.SCALARS,
        "all_of": OperandShape.SCALARS,
        "none_of": OperandShape.SCALARS,
        "size": OperandShape.SIZE,
        "cidr": OperandShape.TEXTS,
        "modulo": OperandShape.INTEGER_PAIR,
    }
)

TYPE_CLASSES = ("boolean", "string", "number", "list", "map", "null")
