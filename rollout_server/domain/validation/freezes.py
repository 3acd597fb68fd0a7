"""Freezes: two moments, or two places in a week of one zone."""

from __future__ import annotations

import re
import zoneinfo
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import show
from rollout_server.domain.files import durations
from rollout_server.domain.validation.rollouts import check_moment

if TYPE_CHECKING:
    from rollout_sdk.engine.findings import Findings
    from rollout_server.domain.rollouts import FreezeSpec

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
STAGGER_MAX_MS = 86_400_000

_WEEKLY = re.compile(r"([A-Za-z]+) +([0-9]{1,2}):([0-9]{2})")
_LEADING_DATE = re.compile(r"[0-9]{4}-")
_HOURS, _MINUTES = 24, 60


def check_freeze(findings: Findings, spec: FreezeSpec) -> None:
    """Note everything that is wrong with a freeze."""
    start, end = (_LEADING_DATE.match(text) is None for text in (spec.start, spec.end))
    if start is not end:
        message = "one end is a moment and the other comes back every week"
        findings.add("spec.to", "bad_freeze", message, "write both in the same way")
    elif start:
        _check_weekly(findings, spec)
    else:
        _check_given(findings, spec)
    if spec.zone and not _is_zone(spec.zone):
        near = get_close_matches(spec.zone[:64], _zones(), 1)
        hint = f"did you mean {show(near[0])}?" if near else "use an IANA name, like Asia/Seoul"
        findings.add("spec.zone", "unknown_zone", f"there is no time zone {show(spec.zone)}", hint)
    if not 0 <= spec.stagger_ms <= STAGGER_MAX_MS:
        message = f"rollouts come back at most {durations.show(STAGGER_MAX_MS)} apart"
        findings.add("spec.stagger", "out_of_range", message, "write a shorter time")


def _check_given(findings: Findings, spec: FreezeSpec) -> None:
    start = check_moment(findings, spec.start, "spec.from")
    end = check_moment(findings, spec.end, "spec.to")
    if start is not None and end is not None and end <= start:
        message = "it ends when it begins" if end == start else "it ends before it begins"
        findings.add("spec.to", "empty_freeze", message, "write a later end")


def _check_weekly(findings: Findings, spec: FreezeSpec) -> None:
    start = _check_weekly_place(findings, spec.start, "spec.from")
    end = _check_weekly_place(findings, spec.end, "spec.to")
    if start is not None and start == end:
        message = "it ends when it begins, so it lasts no time, or for ever"
        findings.add("spec.to", "empty_freeze", message, "write another end")
    if not spec.zone:
        message = "a weekly freeze begins at another moment in every zone"
        findings.add("spec.zone", "no_zone", message, "say which one, like zone: Asia/Seoul")


def _check_weekly_place(findings: Findings, text: str, path: str) -> tuple[str, int, int] | None:
    found = _WEEKLY.fullmatch(text)
    if found is None:
        message = f"{show(text)} is neither a moment nor a time of the week"
        hint = 'write it like "FRI 16:00", or like "2026-12-24T00:00:00+09:00"'
        findings.add(path, "bad_moment", message, hint)
        return None
    day, hour, minute = found[1], int(found[2]), int(found[3])
    if day not in WEEKDAYS:
        near = get_close_matches(day.upper()[:3], WEEKDAYS, 1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(WEEKDAYS)
        findings.add(path, "unknown_weekday", f"there is no weekday {show(day)} here", hint)
        return None
    if hour >= _HOURS or minute >= _MINUTES:
        findings.add(path, "bad_moment", f"{found[2]}:{found[3]} is no time of day", "write 00:00 to 23:59")
        return None
    return day, hour, minute


def _is_zone(name: str) -> bool:
    """Names in small letters are a machine's own (`localtime`), or count leap seconds (`right/UTC`)."""
    if not name[:1].isupper():
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
