"""Percentages as people write them, exactly in parts per million: no float is ever made of one."""

from __future__ import annotations

import re

from rollout_sdk.engine.model import PPM

PERCENT_PATTERN = r"^(100(\.0+)?|(0|[1-9][0-9]?)(\.[0-9]{1,4}0*)?)%$"
"""0% to 100% in steps of 0.0001%: what `parse` accepts, in the words of JSON Schema."""

_PPM_PER_PERCENT = PPM // 100
_FRACTION_DIGITS = 4
_LENGTH_MAX = 32
_PERCENT = re.compile(r"(?P<sign>[-+]?)(?P<whole>0|[1-9][0-9]*)(?:\.(?P<fraction>[0-9]+))?%")


class NotAPercentage(ValueError):
    """The text is no exact percentage; the message says why and the hint what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse(text: str) -> int:
    """Return the share in ppm, 0 to 1 000 000.

    Raises:
        NotAPercentage: another form, negative, above 100% or finer than 1 ppm.
    """
    found = _PERCENT.fullmatch(text) if len(text) <= _LENGTH_MAX else None
    if found is None:
        raise NotAPercentage("is not a percentage", 'write it like "25%" or "0.5%"')
    if found["sign"]:
        message = "is negative" if found["sign"] == "-" else "has a sign"
        raise NotAPercentage(message, "a share lies between 0% and 100%, without a sign")
    fraction = (found["fraction"] or "").rstrip("0")
    if len(fraction) > _FRACTION_DIGITS:
        raise NotAPercentage("is finer than 0.0001% (1 part per million)", "use at most four decimals")
    share_ppm = int(found["whole"]) * _PPM_PER_PERCENT + int(fraction.ljust(_FRACTION_DIGITS, "0"))
    if share_ppm > PPM:
        raise NotAPercentage("is above 100%", "a share lies between 0% and 100%")
    return share_ppm


def show(share_ppm: int) -> str:
    """Return the shortest exact percentage: 250 000 is "25%", 1 is "0.0001%". Sums above one whole are shown too."""
    whole, rest = divmod(share_ppm, _PPM_PER_PERCENT)
    fraction = f"{rest:0{_FRACTION_DIGITS}d}".rstrip("0")
    return f"{whole}.{fraction}%" if fraction else f"{whole}%"
