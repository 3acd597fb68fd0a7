"""Percentages as people write them, exactly in parts per million: no float is ever made of one."""

from __future__ import annotations

import re

from rollout_sdk.engine.model import PPM

PERCENT_PATTERN = r"^(100(\.0+)?|(0|[1-9][0-9]?)(\.[0-9]{1,4}0*)?)%$"
"""0% to 100% in steps of 0.0001%: what `parse` accepts, in the words of JSON Schema."""

CHANGE_PATTERN = r"^[-+](0|[1-9][0-9]{0,4})(\.[0-9]{1,4}0*)?%$"
"""A relative change and its sign, to under 100 000%: what `parse_change` accepts."""

POINTS_PATTERN = r"^(100(\.0+)?|(0|[1-9][0-9]?)(\.[0-9]{1,4}0*)?)pp$"
"""Percentage points: what `parse_points` accepts."""

_PPM_PER_PERCENT = PPM // 100
_FRACTION_DIGITS = 4
_LENGTH_MAX = 32
_PERCENT = re.compile(r"(?P<sign>[-+]?)(?P<whole>0|[1-9][0-9]*)(?:\.(?P<fraction>[0-9]+))?%")
_CHANGE_PPM_MAX = 100_000 * _PPM_PER_PERCENT


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
    found = _found(text, 'write it like "25%" or "0.5%"')
    if found["sign"]:
        message = "is negative" if found["sign"] == "-" else "has a sign"
        raise NotAPercentage(message, "a share lies between 0% and 100%, without a sign")
    share_ppm = _ppm(found)
    if share_ppm > PPM:
        raise NotAPercentage("is above 100%", "a share lies between 0% and 100%")
    return share_ppm


def parse_change(text: str) -> int:
    """Return a relative change in ppm with its sign: "+20%" is 200 000, "-3%" is -30 000.

    Raises:
        NotAPercentage: another form, no sign, 100 000% or more, or finer than 1 ppm.
    """
    found = _found(text, 'write it like "+20%" or "-3%"')
    if not found["sign"]:
        raise NotAPercentage("has no sign", f"write +{text} where more is worse, -{text} where less is worse")
    change_ppm = _ppm(found)
    if change_ppm >= _CHANGE_PPM_MAX:
        raise NotAPercentage("is 100000% or more", "a limit that far away guards nothing")
    return -change_ppm if found["sign"] == "-" else change_ppm


def parse_points(text: str) -> int:
    """Return percentage points in ppm: "0.1pp" is 1 000.

    Raises:
        NotAPercentage: another form, a sign, above 100pp or finer than 1 ppm.
    """
    if not text.endswith("pp"):
        raise NotAPercentage("is no number of percentage points", 'write it like "0.1pp"')
    try:
        return parse(text.removesuffix("pp") + "%")
    except NotAPercentage as wrong:
        raise NotAPercentage(f"is no number of percentage points: it {wrong}", 'write it like "0.1pp"') from None


def _found(text: str, hint: str) -> re.Match[str]:
    found = _PERCENT.fullmatch(text) if len(text) <= _LENGTH_MAX else None
    if found is None:
        raise NotAPercentage("is not a percentage", hint)
    return found


def _ppm(found: re.Match[str]) -> int:
    fraction = (found["fraction"] or "").rstrip("0")
    if len(fraction) > _FRACTION_DIGITS:
        raise NotAPercentage("is finer than 0.0001% (1 part per million)", "use at most four decimals")
    return int(found["whole"]) * _PPM_PER_PERCENT + int(fraction.ljust(_FRACTION_DIGITS, "0"))


def show(share_ppm: int) -> str:
    """Return the shortest exact percentage: 250 000 is "25%", 1 is "0.0001%". Sums above one whole are shown too."""
    whole, rest = divmod(share_ppm, _PPM_PER_PERCENT)
    fraction = f"{rest:0{_FRACTION_DIGITS}d}".rstrip("0")
    return f"{whole}.{fraction}%" if fraction else f"{whole}%"


def show_change(change_ppm: int) -> str:
    """Return the shortest exact change, sign included: 200 000 is "+20%"."""
    return f"{'-' if change_ppm < 0 else '+'}{show(abs(change_ppm))}"


def show_points(points_ppm: int) -> str:
    """Return the shortest exact number of percentage points: 1 000 is "0.1pp"."""
    return show(points_ppm).removesuffix("%") + "pp"
