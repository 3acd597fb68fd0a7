"""Values of variants: of the flag's type exactly, and such that they come back from JSON and the wire as they went."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import ValueType

if TYPE_CHECKING:
    from rollout_sdk.engine.findings import Findings

_TYPES: dict[ValueType, type] = {
    ValueType.BOOLEAN: bool,
    ValueType.STRING: str,
    ValueType.INTEGER: int,
    ValueType.FLOAT: float,
}


def check_value(findings: Findings, value: object, value_type: ValueType, path: str) -> None:
    """Note what is wrong with a variant's value, if anything; True is no integer, and 1 is no float."""
    wanted = _TYPES.get(value_type)
    if wanted is not None and type(value) is not wanted:
        message = f"the flag's type is {value_type.value}, and this value is {_called(value)}"
        findings.add(path, "wrong_type", message, "mend the value, or the flag's type")
        return
    code, message = _fault(value)
    if code:
        findings.add(path, code, message, "give a smaller, finite value as JSON knows it")
        return
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > limits.JSON_BYTES:
        message = f"a value has at most {limits.JSON_BYTES:,} bytes as JSON, this one {size:,}"
        findings.add(path, "too_large", message, "keep large values elsewhere and name them here")


def _fault(value: object) -> tuple[str, str]:
    """Return code and message of the first part that JSON or the wire would not bring back as it is."""
    level: list[object] = [value]
    for _ in range(limits.JSON_DEPTH + 1):
        inner: list[object] = []
        for part in level:
            found = _part_fault(part)
            if found[0]:
                return found
            if type(part) is dict:
                inner += [*part, *part.values()]
            elif type(part) is list:
                inner += part
        level = inner
        if not level:
            return "", ""
    return "too_deep", f"lists and maps lie more than {limits.JSON_DEPTH} inside each other"


def _part_fault(part: object) -> tuple[str, str]:
    if part is None or type(part) in (bool, list):
        return "", ""
    if type(part) is int:
        fits = limits.INTEGER_MIN <= part <= limits.INTEGER_MAX
        return ("", "") if fits else ("out_of_range", "an integer does not fit into 64 bits")
    if type(part) is float:
        return ("", "") if isfinite(part) else ("not_finite", f"{part} is no number that JSON knows")
    if type(part) is str:
        try:
            part.encode()
        except UnicodeEncodeError:
            return "bad_text", "text holds half of a surrogate pair, which is not Unicode"
        return "", ""
    if type(part) is dict:
        names = all(type(key) is str for key in part)
        return ("", "") if names else ("wrong_type", "a map has a key that is not text")
    return "wrong_type", f"JSON knows no {type(part).__name__}"


def _called(value: object) -> str:
    for value_type, python_type in _TYPES.items():
        if type(value) is python_type:
            return f"of type {value_type.value}"
    return "null" if value is None else "a list, a map or something else"
