"""Moments and durations, as people type and read them. Everything inside is milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d))+")
_DIGITS_MAX = 15


def duration_ms(text: str) -> int:
    """Read "30s", "1h30m", "250ms" or "90d".

    Raises:
        ValueError: anything else; the message says what is understood.
    """
    if len(text) > _DIGITS_MAX or not _DURATION.fullmatch(text):
        message = f"{text!r} is no duration; write 250ms, 30s, 15m, 1h30m or 90d"
        raise ValueError(message)
    return sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(text))


def moment_ms(text: str, now_ms: int) -> int:
    """Read a moment: RFC 3339 with a zone, or a duration, which means that long ago.

    Raises:
        ValueError: anything else; the message says what is understood.
    """
    if _DURATION.fullmatch(text):
        return now_ms - duration_ms(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or "T" not in text.upper().replace(" ", "T"):
        message = f"{text!r} is no moment; write 2026-11-21T20:15:00+09:00, or 2h for two hours ago"
        raise ValueError(message)
    if moment.tzinfo is None:
        message = f"{text!r} names no zone; add Z for UTC or an offset such as +09:00"
        raise ValueError(message)
    return int(moment.timestamp() * SECOND_MS)


def age(elapsed_ms: int) -> str:
    """Write how long, in at most two units: "12s", "5h52m", "3d4h". What lies in the future is "now"."""
    if elapsed_ms < SECOND_MS:
        return "now"
    for unit_ms, unit, smaller_ms, smaller in (
        (DAY_MS, "d", HOUR_MS, "h"),
        (HOUR_MS, "h", MINUTE_MS, "m"),
        (MINUTE_MS, "m", SECOND_MS, "s"),
    ):
        if elapsed_ms >= unit_ms:
            rest = elapsed_ms % unit_ms // smaller_ms
            whole = elapsed_ms // unit_ms
            # Seconds beside minutes and hours beside many days say nothing.
            return f"{whole}{unit}{rest}{smaller}" if rest and unit != "m" and whole < 10 else f"{whole}{unit}"  # noqa: PLR2004 - one digit
    return f"{elapsed_ms // SECOND_MS}s"


def ago(then_ms: int, now_ms: int) -> str:
    """Write when, seen from now: "12m ago", "just now"."""
    text = age(now_ms - then_ms)
    return "just now" if text == "now" else f"{text} ago"


def stamp(at_ms: int) -> str:
    """Write a moment in UTC, "2026-11-21 20:15:00Z"; "-" for 0, which is no moment."""
    if at_ms == 0:
        return "-"
    try:
        return datetime.fromtimestamp(at_ms / SECOND_MS, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"


def brief(elapsed_ms: int) -> str:
    """Write a short span exactly enough to be judged: "83 ms", "1.8 s", "2m5s"."""
    if elapsed_ms < SECOND_MS:
        return f"{elapsed_ms} ms"
    if elapsed_ms < MINUTE_MS:
        return f"{elapsed_ms / SECOND_MS:.1f} s"
    minutes, rest = divmod(elapsed_ms, MINUTE_MS)
    return f"{minutes}m{rest // SECOND_MS}s"
