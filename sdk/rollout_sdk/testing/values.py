"""Flags made from plain values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.model import Flag, ValueType, Variant
from rollout_sdk.engine.names import key_fault

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json


def flag_of(key: str, value: Json) -> Flag:
    """Return a flag that serves this value to everybody; its type is that of the value.

    A boolean flag has both its variants, "on" and "off", so that it can be killed. Any other is killed to what is empty
    for its type.

    Raises:
        ValueError: the key is no flag's, or the value none that JSON knows.
    """
    if fault := key_fault(key):
        raise ValueError(f"{key!r} cannot name a flag: {fault}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"flag {key!r}: its value is no JSON: {error}") from None
    if isinstance(value, bool):
        variants, name = (Variant("on", value=True), Variant("off", value=False)), "on" if value else "off"
        return Flag(key, ValueType.BOOLEAN, variants, off="off", default=name, salt=salt16(key))
    type_, empty = _type(value)
    variants = (Variant("fixed", value), Variant("off", empty))
    return Flag(key, type_, variants, off="off", default="fixed", salt=salt16(key))


def _type(value: Json) -> tuple[ValueType, Json]:
    match value:
        case str():
            return ValueType.STRING, ""
        case int():
            return ValueType.INTEGER, 0
        case float():
            return ValueType.FLOAT, 0.0
        case _:
            return ValueType.JSON, None
