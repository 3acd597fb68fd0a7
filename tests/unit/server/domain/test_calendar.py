"""Freezes, zones, daylight saving, scheduled starts, and who goes first after a thaw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.calendar import (
    WEEKDAYS,
    Line,
    Thaw,
    end_text,
    is_due,
    is_frozen,
    may_grow,
    next_change,
    next_thaw,
    parse_moment_ms,
    thaws,
    turn_ms,
)
from rollout_server.domain.rollouts import FreezeSpec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEKEND = FreezeSpec("FRI 16:00", "MON 08:00", zone="Asia/Seoul")
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def ms(text: str) -> int:
    moment = parse_moment_ms(text)
    assert moment is not None
    return moment


def edges(freeze: FreezeSpec, inside: str) -> tuple[str, str]:
    """First frozen minute and first thawed one of the stretch around a moment, in UTC; found by looking."""
    start_ms = end_ms = ms(inside)
    assert is_frozen([freeze], (), start_ms)
    while is_frozen([freeze], (), start_ms - 60_000):
        start_ms -= 60_000
    while is_frozen([freeze], (), end_ms):
        end_ms += 60_000
    return utc(start_ms), utc(end_ms)


def utc(moment_ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)).strftime("%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("now", "frozen"),
    [
        ("2026-11-20T15:59:59.999+09:00", False),
        ("2026-11-20T16:00:00+09:00", True),
        ("2026-11-22T12:00:00+09:00", True),
        ("2026-11-23T07:59:59.999+09:00", True),
        ("2026-11-23T08:00:00+09:00", False),
        ("2026-11-20T07:00:00Z", True),
    ],
)
def test_a_weekend_in_seoul(now: str, *, frozen: bool) -> None:
    """A weekly freeze begins with its first minute and ends before its last, on the wall of its zone."""
    assert is_frozen([WEEKEND], (), ms(now)) is frozen


@pytest.mark.parametrize(
    ("zone", "start", "end", "inside", "wanted"),
    [
        # spring: the wall is an hour ahead on Monday, so the freeze is an hour shorter than its name
        (BERLIN, "FRI 16:00", "MON 08:00", "2026-03-28T12:00:00Z", ("03-27T15:00", "03-30T06:00")),
        (BERLIN, "FRI 16:00", "MON 08:00", "2026-10-24T12:00:00Z", ("10-23T14:00", "10-26T07:00")),
        (NEW_YORK, "FRI 16:00", "MON 08:00", "2026-03-07T12:00:00Z", ("03-06T21:00", "03-09T12:00")),
        (NEW_YORK, "FRI 16:00", "MON 08:00", "2026-10-31T12:00:00Z", ("10-30T20:00", "11-02T13:00")),
        # half an hour of daylight saving, and the other half of the year
        (LORD_HOWE, "FRI 16:00", "MON 08:00", "2026-10-03T12:00:00Z", ("10-02T05:30", "10-04T21:00")),
        (LORD_HOWE, "FRI 16:00", "MON 08:00", "2026-04-04T12:00:00Z", ("04-03T05:00", "04-05T21:30")),
        ("Asia/Seoul", "FRI 16:00", "MON 08:00", "2026-03-28T12:00:00Z", ("03-27T07:00", "03-29T23:00")),
        # 02:30 does not exist in spring: the longer reading, at either end
        (NEW_YORK, "SUN 02:30", "SUN 12:00", "2026-03-08T12:00:00Z", ("03-08T06:30", "03-08T16:00")),
        (BERLIN, "SAT 12:00", "SUN 02:30", "2026-03-28T20:00:00Z", ("03-28T11:00", "03-29T01:30")),
        # 02:30 (01:30 in New York) comes twice in autumn: from its first, until its last
        (BERLIN, "SUN 02:30", "SUN 12:00", "2026-10-25T05:00:00Z", ("10-25T00:30", "10-25T11:00")),
        (NEW_YORK, "SAT 12:00", "SUN 01:30", "2026-10-31T20:00:00Z", ("10-31T16:00", "11-01T06:30")),
        (LORD_HOWE, "SAT 12:00", "SUN 01:45", "2026-04-04T08:00:00Z", ("04-04T01:00", "04-04T15:15")),
        # the clocks of Cairo skip midnight: that Friday begins at one
        ("Africa/Cairo", "FRI 00:30", "FRI 06:00", "2026-04-24T01:00:00Z", ("04-23T21:30", "04-24T03:00")),
    ],
)
def test_daylight_saving(zone: str, start: str, end: str, inside: str, wanted: tuple[str, str]) -> None:
    """Edges stand on the wall; a time that is skipped or comes twice makes the freeze longer, never shorter."""
    assert edges(FreezeSpec(start, end, zone=zone), inside) == wanted


def test_a_freeze_within_a_day_and_one_round_the_week() -> None:
    """The end is the next one after the start, wherever the week turns."""
    night = FreezeSpec("WED 09:00", "WED 17:00", zone="UTC")
    assert edges(night, "2026-11-18T12:00:00Z") == ("11-18T09:00", "11-18T17:00")
    almost_all = FreezeSpec("WED 17:00", "WED 09:00", zone="UTC")
    assert edges(almost_all, "2026-11-20T12:00:00Z") == ("11-18T17:00", "11-25T09:00")
    over_monday = FreezeSpec("SUN 23:00", "MON 01:00", zone="UTC")
    assert edges(over_monday, "2026-11-22T23:30:00Z") == ("11-22T23:00", "11-23T01:00")


def test_a_given_freeze_and_its_tags() -> None:
    """A freeze of tags concerns flags that carry one of them; one without tags concerns all."""
    sale = FreezeSpec("2026-11-26T00:00:00+09:00", "2026-11-30T00:00:00+09:00", tags=("web", "app"))
    inside, before = ms("2026-11-25T15:00:00Z"), ms("2026-11-25T14:59:59Z")
    assert is_frozen([sale], ("web",), inside)
    assert not is_frozen([sale], ("web",), before)
    assert not is_frozen([sale], ("batch",), inside)
    assert not is_frozen([sale], (), inside)
    assert is_frozen([WEEKEND, sale], ("batch",), ms("2026-11-28T00:00:00Z"))


def test_whom_a_freeze_exempts() -> None:
    """The exempt may grow, through this freeze only; people however their name is spelled."""
    freeze = FreezeSpec("FRI 16:00", "MON 08:00", zone="UTC", exempt=("incident-lead", "Kai"))
    strict = FreezeSpec("SAT 00:00", "SUN 00:00", zone="UTC")
    friday, saturday = ms("2026-11-20T20:00:00Z"), ms("2026-11-21T12:00:00Z")
    assert not is_frozen([freeze, strict], (), friday, {"ann", "incident-lead"})
    assert is_frozen([freeze, strict], (), saturday, {"ann", "incident-lead"})
    assert is_frozen([freeze], (), friday, {"ann"})
    assert not is_frozen([freeze], (), friday, {"kai"})


def test_the_next_thaw() -> None:
    """Freezes that touch are one; where nothing is frozen it is now; where all is, it never comes."""
    friday = FreezeSpec("FRI 16:00", "SAT 00:00", zone="UTC")
    saturday = FreezeSpec("SAT 00:00", "MON 08:00", zone="UTC")
    late = FreezeSpec("2026-11-23T07:00:00Z", "2026-11-24T00:00:00Z")
    now = ms("2026-11-20T17:00:00Z")
    assert next_thaw([friday], (), now) == ms("2026-11-21T00:00:00Z")
    assert next_thaw([friday, saturday], (), now) == ms("2026-11-23T08:00:00Z")
    assert next_thaw([friday, saturday, late], (), now) == ms("2026-11-24T00:00:00Z")
    assert next_thaw([friday, saturday, late], (), ms("2026-11-19T00:00:00Z")) == ms("2026-11-19T00:00:00Z")
    rest = FreezeSpec("MON 08:00", "FRI 16:00", zone="UTC")
    assert next_thaw([friday, saturday, rest], (), now) is None
    assert next_thaw([FreezeSpec("not", "readable")], (), now) == now


def test_the_next_change() -> None:
    """Every moment at which a freeze begins or ends is told by the one before it, and no other."""
    given = FreezeSpec("2026-11-21T00:00:00Z", "2026-11-21T01:00:00Z", tags=("web",))
    now_ms, seen = ms("2026-11-20T00:00:00Z"), []
    for _ in range(4):
        found = next_change([WEEKEND, given], ("web",), now_ms)
        assert found is not None
        seen.append(utc(found))
        now_ms = found
    assert seen == ["11-20T07:00", "11-21T00:00", "11-21T01:00", "11-22T23:00"]
    assert next_change([given], ("web",), now_ms) is None
    assert next_change([given], ("api",), 0) is None


def test_a_start_is_due_at_its_moment_wherever_one_is() -> None:
    """A scheduled start is one moment, whatever zone it is written in; what is no moment never comes."""
    assert ms("2026-12-01T09:00:00+09:00") == ms("2026-12-01T00:00:00Z") == ms("2026-11-30T19:00:00-05:00")
    assert not is_due("2026-12-01T09:00:00+09:00", ms("2026-12-01T00:00:00Z") - 1)
    assert is_due("2026-12-01T09:00:00+09:00", ms("2026-12-01T00:00:00Z"))
    assert not is_due("", 2**53)
    assert not is_due("2026-12-01T09:00:00", 2**53)
    assert parse_moment_ms("1970-01-01T00:00:00.0015Z") == 1


def test_turns_after_a_thaw() -> None:
    """Whoever was under way at the thaw waits in line, the longest first; nobody else does, and places do not move."""
    freeze = FreezeSpec("FRI 16:00", "MON 08:00", zone="UTC", tags=("web",), stagger_ms=15 * 60_000)
    now = ms("2026-11-23T09:00:00Z")
    (thaw,) = thaws([freeze, FreezeSpec("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z")], ("web",), now)
    assert thaw == Thaw(ms("2026-11-23T08:00:00Z"), 15 * 60_000, ("web",))
    web = ("web",)
    line = [
        Line("second", thaw.at_ms - 2 * HOUR_MS, tags=web),
        Line("first", thaw.at_ms - 3 * HOUR_MS, ended_ms=thaw.at_ms + 1, tags=web),
        Line("third", thaw.at_ms - 2 * HOUR_MS, tags=web),
        Line("ended", thaw.at_ms - 9 * HOUR_MS, ended_ms=thaw.at_ms, tags=web),
        Line("other", thaw.at_ms - 9 * HOUR_MS, tags=("batch",)),
        Line("later", thaw.at_ms + 1, tags=web),
    ]
    turns = {one.rollout: (turn_ms(one.rollout, thaw, line) - thaw.at_ms) // 60_000 for one in line}
    assert turns == {"first": 0, "second": 15, "third": 30, "ended": 0, "other": 0, "later": 0}
    assert not may_grow("third", [thaw], line, thaw.at_ms + 30 * 60_000 - 1)
    assert may_grow("third", [thaw], line, thaw.at_ms + 30 * 60_000)
    assert may_grow("third", [], line, thaw.at_ms)
    assert not may_grow("third", [thaw, Thaw(now, HOUR_MS)], line, now)


def test_the_last_thaw_is_that_of_the_wall() -> None:
    """The stagger counts from where the freeze really ended, daylight saving or not."""
    freeze = FreezeSpec("FRI 16:00", "MON 08:00", zone=BERLIN)
    (spring,) = thaws([freeze], (), ms("2026-03-31T00:00:00Z"))
    assert utc(spring.at_ms) == "03-30T06:00"
    assert thaws([freeze], ("any",), ms("2026-03-28T00:00:00Z"))[0].at_ms == ms("2026-03-23T07:00:00Z")


PLACES = st.tuples(st.sampled_from(WEEKDAYS), st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "Asia/Seoul", "Africa/Cairo", "UTC", "Pacific/Apia"])


@given(PLACES, PLACES, ZONES, st.integers(0, 4_000_000_000_000))
def test_a_weekly_freeze_is_what_its_wall_says(
    start: tuple[str, int, int], end: tuple[str, int, int], zone: str, now_ms: int
) -> None:
    """Against the plain reading of a wall clock: frozen wherever the wall stands between the two places of the week."""
    freeze = FreezeSpec(f"{start[0]} {start[1]}:{start[2]:02}", f"{end[0]} {end[1]}:{end[2]:02}", zone=zone)
    wall = datetime.fromtimestamp(now_ms // 1000, ZoneInfo(zone))
    near = {wall.utcoffset(), *((wall + timedelta(hours=hours)).utcoffset() for hours in (-26, 26))}
    if len(near) > 1:  # clocks change nearby: `test_daylight_saving` has those
        return
    at, first, last = minutes(wall), place(start), place(end)
    wanted = first <= at < last if first < last else not last <= at < first
    assert is_frozen([freeze], (), now_ms) is wanted


@given(PLACES, PLACES, ZONES, st.integers(0, 4_000_000_000_000))
def test_a_thaw_is_the_end_of_what_is_frozen(
    start: tuple[str, int, int], end: tuple[str, int, int], zone: str, now_ms: int
) -> None:
    """At the next thaw nothing is frozen, and just before it something was, unless it is now."""
    freeze = FreezeSpec(f"{start[0]} {start[1]}:{start[2]:02}", f"{end[0]} {end[1]}:{end[2]:02}", zone=zone)
    thaw = next_thaw([freeze], (), now_ms)
    assert (thaw is None) == (start == end)
    if thaw is not None:
        assert not is_frozen([freeze], (), thaw)
        assert thaw == now_ms or is_frozen([freeze], (), thaw - 1)


def place(where: tuple[str, int, int]) -> int:
    return (WEEKDAYS.index(where[0]) * 24 + where[1]) * 60 + where[2]


def minutes(wall: datetime) -> int:
    return (wall.weekday() * 24 + wall.hour) * 60 + wall.minute


def test_an_end_is_told_to_the_minute() -> None:
    """The one in which it is over; a freeze that somebody must end says so."""
    ms = parse_moment_ms("2026-11-22T23:00:00.001Z")
    assert ms is not None
    assert end_text(ms) == "2026-11-22 23:01 UTC"
    assert end_text(ms - 1) == "2026-11-22 23:00 UTC"
    for_ever = parse_moment_ms("9999-12-31T23:59:59Z")
    assert for_ever is not None
    assert end_text(for_ever) == "somebody thaws it"
