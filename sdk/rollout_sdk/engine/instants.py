"""Points in time as integers. Parsed from RFC 3339 text with a zone; this module reads no clock."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_NANOSECONDS = 10**9
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,18}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)


def parse_instant(text: str) -> int | None:
    """Return nanoseconds since 0001-01-01T00:00:00Z, or None where the text is no RFC 3339 date-time with a zone.

    A leap second (":60") is the moment after ":59"; digits beyond nanoseconds are dropped.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, _, sign, zone_hour, zone_minute = match.groups()[6:]
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004 - the clock's own limits
        return None
    offset_s = 0
    if sign:
        if int(zone_hour) > 23 or int(zone_minute) > 59:  # noqa: PLR2004 - the clock's own limits
            return None
        offset_s = (int(zone_hour) * 60 + int(zone_minute)) * (60 if sign == "+" else -60)
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    seconds = (days - 1) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s
    return seconds * _NANOSECONDS + int(f"{fraction or '0':0<9.9}")


def instant_of(moment: datetime) -> int | None:
    """Return the same count for an aware datetime; None for a naive one, and where its zone gives no offset.

    Only methods of `datetime` itself are called on the moment; its zone is the caller's code and may do anything.
    """
    try:
        offset = datetime.utcoffset(moment)
    except Exception:  # noqa: BLE001 - a zone is foreign code, and evaluation is total
        return None
    if type(offset) is not timedelta:
        return None
    # The slots of `datetime` itself: a subclass may have put anything over them.
    hour: int = datetime.hour.__get__(moment)
    minute: int = datetime.minute.__get__(moment)
    second: int = datetime.second.__get__(moment)
    microsecond: int = datetime.microsecond.__get__(moment)
    days = datetime.toordinal(moment) - 1 - offset.days
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset.seconds
    return seconds * _NANOSECONDS + (microsecond - offset.microseconds) * 1_000
