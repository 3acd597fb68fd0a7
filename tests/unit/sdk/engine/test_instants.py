from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.instants import instant_of, parse_instant
from tests.odd_values import RaisingZone

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=st.datetimes(timezones=ZONES))
def test_text_and_datetime_are_the_same_instant(moment: datetime) -> None:
    """What a service sends as text and what it holds as an object compare alike."""
    assert parse_instant(moment.isoformat()) == instant_of(moment)


@given(one=st.datetimes(timezones=ZONES), other=st.datetimes(timezones=ZONES))
def test_order_is_the_order_of_time(one: datetime, other: datetime) -> None:
    """Whatever the zones, earlier is smaller."""
    first, second = instant_of(one), instant_of(other)
    assert first is not None
    assert second is not None
    assert (first < second) is (one < other)


def test_counting_starts_with_the_first_day() -> None:
    """Nanoseconds since 0001-01-01T00:00:00Z."""
    assert parse_instant("0001-01-01T00:00:00Z") == 0
    assert parse_instant("0001-01-01 00:00:01.5z") == 1_500_000_000
    assert parse_instant("0001-01-01T00:00:00+01:00") == -3_600_000_000_000


def test_a_leap_second_is_the_moment_after_the_59th() -> None:
    """RFC 3339 has them, and so have clocks."""
    assert parse_instant("2016-12-31T23:59:60Z") == parse_instant("2017-01-01T00:00:00Z")


def test_digits_beyond_nanoseconds_are_dropped() -> None:
    """Nothing is rounded up into the future."""
    assert parse_instant("2026-01-01T00:00:00.9999999999Z") == parse_instant("2026-01-01T00:00:00.999999999Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-12-01",
        "2026-12-01T09:00Z",
        "2026-12-01T09:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T23:60:00Z",
        "2026-12-01T23:59:61Z",
        "2026-12-01T00:00:00+24:00",
        "2026-12-01T00:00:00+00:60",
        "2026-12-01T00:00:00+0900",
        "\u0662026-12-01T00:00:00Z",
        "2026-12-01T00:00:00.Z",
        " 2026-12-01T00:00:00Z",
        "2026-12-01T00:00:00Z\n",
        "1764547200",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """Dates without a time or a zone are no point in time."""
    assert parse_instant(text) is None


def test_a_naive_datetime_is_no_instant() -> None:
    """Without a zone nobody knows when it was; a zone that fails counts as none."""
    assert instant_of(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)) is None
    assert instant_of(datetime(2026, 1, 1, tzinfo=RaisingZone())) is None


def test_a_subclass_is_read_by_what_it_stores() -> None:
    """No method that a caller wrote is called."""

    class Moment(datetime):
        @property
        def hour(self) -> int:
            raise ValueError

        def utcoffset(self) -> timedelta | None:
            raise ValueError

    assert instant_of(Moment(2026, 1, 1, 5, tzinfo=UTC)) == parse_instant("2026-01-01T05:00:00Z")
