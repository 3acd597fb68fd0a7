"""Quantities with a unit or a sign, read from a document: durations, relative changes, percentage points, counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rollout_server.domain.files import durations, names, percent
from rollout_server.domain.files.scalars import as_written
from rollout_server.domain.files.shape import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_server.domain.files.shape import Reading

COUNT_MAX = 1_000_000_000

QUANTILE_PATTERN = r"^p(0\.[0-9]{0,3}[1-9]|[1-9][0-9]?(\.[0-9]{1,4})?)$"
"""p50, p99.9: what lies between 0 and 100."""

_QUANTILE = re.compile(QUANTILE_PATTERN.replace("$", r"\Z"))


def read_duration(reading: Reading, value: object, path: str) -> int:
    """Return milliseconds from a duration such as 30m or "1h"."""
    if not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = as_written(value)
            hint = f"say the unit: {written}s for seconds, or ms, m, h, d"
            reading.refuse(path, "bad_duration", f"a duration is wanted, found {describe(value)}", hint)
        else:
            reading.wanted(value, path, "a duration")
        return 0
    try:
        return durations.parse(value)
    except durations.NotADuration as wrong:
        code = "out_of_range" if wrong.too_long else "bad_duration"
        reading.refuse(path, code, f"{names.show(value)} {wrong}", wrong.hint)
        return 0


def read_share(reading: Reading, value: object, path: str) -> int:
    """Return a share in ppm from a percentage such as 25%."""
    return reading.share(value, path)


def read_change(reading: Reading, value: object, path: str) -> int:
    """Return a relative change in ppm, signed, from one such as +20%."""
    return _percentage(reading, value, path, percent.parse_change, 'a relative change like "+20%"')


def read_points(reading: Reading, value: object, path: str) -> int:
    """Return percentage points in ppm from text such as 0.1pp."""
    return _percentage(reading, value, path, percent.parse_points, 'percentage points like "0.1pp"')


def _percentage(reading: Reading, value: object, path: str, parse: Callable[[str], int], what: str) -> int:
    if not isinstance(value, str):
        reading.wanted(value, path, what)
        return 0
    try:
        return parse(value)
    except percent.NotAPercentage as wrong:
        reading.refuse(path, "bad_percentage", f"{names.show(value)} {wrong}", wrong.hint)
        return 0


def read_count(reading: Reading, value: object, path: str) -> int:
    """Return a whole number from 0 to `COUNT_MAX`."""
    before = len(reading.problems)
    count = reading.integer(value, path)
    if len(reading.problems) == before and not 0 <= count <= COUNT_MAX:
        reading.refuse(path, "bad_count", f"{count} is no count", f"write a whole number from 0 to {COUNT_MAX:,}")
    return count


def read_quantile(reading: Reading, value: object, path: str) -> int:
    """Return a quantile in ppm: p95 is 950 000."""
    text = reading.text(value, path, "a quantile")
    if not text:
        return 0
    if not _QUANTILE.match(text):
        reading.refuse(path, "bad_quantile", f"{names.show(text)} is not a quantile", "write it like p95 or p99.9")
        return 0
    return percent.parse(text[1:] + "%")


def show_quantile(quantile_ppm: int) -> str:
    """Return the shortest exact quantile: 950 000 is "p95"."""
    return "p" + percent.show(quantile_ppm).removesuffix("%")
