"""Durations as people write them, `30m`, `1h`, `500ms`, exactly in milliseconds: no float is ever made of one."""

from __future__ import annotations

import re

DURATION_PATTERN = r"^(0|[1-9][0-9]{0,10})(ms|s|m|h|d)$"
"""What `parse` accepts, in the words of JSON Schema; what is too long is refused beyond it."""

DURATION_MAX_MS = 366 * 86_400_000
"""A year and a day: more is a slip of the pen, and would outlive the history that has to prove it."""

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_LENGTH_MAX = 32
_DURATION = re.compile(r"(?P<sign>[-+]?)(?P<number>[0-9]+)(?P<rest>.*)", re.DOTALL)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,10}")
_HINT = 'write one whole number and its unit, like "90s", "30m", "1h" or "1d"'


class NotADuration(ValueError):
    """The text is no exact duration; the message says why and the hint what to write.

    Attributes:
        too_long: the form is right, and only the length is not.
    """

    def __init__(self, message: str, hint: str = _HINT, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.too_long = too_long


def parse(text: str) -> int:
    """Return milliseconds, 0 to `DURATION_MAX_MS`.

    Raises:
        NotADuration: another form, a bare number, negative, or longer than anything here may last.
    """
    found = _DURATION.fullmatch(text) if len(text) <= _LENGTH_MAX else None
    if found is None:
        raise NotADuration("is not a duration")
    if found["sign"]:
        message = "is negative" if found["sign"] == "-" else "has a sign"
        raise NotADuration(message, "a duration has no sign")
    if not found["rest"]:
        raise NotADuration("has no unit", f"write {text}s for seconds, or ms, m, h, d")
    unit_ms = _UNITS_MS.get(found["rest"])
    if unit_ms is None or not _NUMBER.fullmatch(found["number"]):
        raise NotADuration("is not a duration")
    duration_ms = int(found["number"]) * unit_ms
    if duration_ms > DURATION_MAX_MS:
        raise NotADuration(f"is longer than {show(DURATION_MAX_MS)}", "nothing here lasts that long", too_long=True)
    return duration_ms


def show(duration_ms: int) -> str:
    """Return the shortest exact duration: 5 400 000 is "90m", 0 is "0m"."""
    if not duration_ms:
        return "0m"
    unit = next(unit for unit, unit_ms in _UNITS_MS.items() if duration_ms % unit_ms == 0)
    return f"{duration_ms // _UNITS_MS[unit]}{unit}"
