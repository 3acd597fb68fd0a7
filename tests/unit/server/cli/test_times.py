"""Moments and durations, as people type and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.cli.times import DAY_MS, HOUR_MS, MINUTE_MS, age, ago, brief, duration_ms, moment_ms, stamp

NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("250ms", 250), ("30s", 30_000), ("1h30m", 5_400_000), ("90d", 90 * DAY_MS), ("0s", 0)],
)
def test_durations_are_read(text: str, expected_ms: int) -> None:
    assert duration_ms(text) == expected_ms


@pytest.mark.parametrize("text", ["", "5", "-5s", "1.5h", "5 s", "5w", "s", "9999999999999999s", "٣s"])
def test_anything_else_is_no_duration_and_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="30s"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2026-11-18T11:06:40Z", NOW_MS),
        ("2026-11-18 11:06:40+00:00", NOW_MS),
        ("2026-11-18T20:06:40+09:00", NOW_MS),
        ("2h", NOW_MS - 2 * HOUR_MS),
    ],
)
def test_moments_are_read(text: str, expected_ms: int) -> None:
    assert moment_ms(text, NOW_MS) == expected_ms


@pytest.mark.parametrize("text", ["yesterday", "2026-11-18", "2026-13-01T00:00:00Z", ""])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        moment_ms(text, NOW_MS)


def test_a_moment_without_a_zone_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="no zone"):
        moment_ms("2026-11-18T11:06:40", NOW_MS)


@pytest.mark.parametrize(
    ("elapsed_ms", "expected"),
    [
        (-5, "now"),
        (999, "now"),
        (12_000, "12s"),
        (5 * MINUTE_MS + 12_000, "5m"),
        (5 * HOUR_MS + 52 * MINUTE_MS, "5h52m"),
        (12 * HOUR_MS + MINUTE_MS, "12h"),
        (3 * DAY_MS + 4 * HOUR_MS, "3d4h"),
        (40 * DAY_MS + HOUR_MS, "40d"),
    ],
)
def test_ages_are_short(elapsed_ms: int, expected: str) -> None:
    assert age(elapsed_ms) == expected


def test_ago_and_stamp_and_brief() -> None:
    assert ago(NOW_MS - 12 * MINUTE_MS, NOW_MS) == "12m ago"
    assert ago(NOW_MS + 5, NOW_MS) == "just now"
    assert stamp(NOW_MS) == "2026-11-18 11:06:40Z"
    assert stamp(0) == "-"
    assert stamp(10**18) == f"{10**18} ms"
    assert [brief(83), brief(1_800), brief(125_000)] == ["83 ms", "1.8 s", "2m5s"]


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_no_number_breaks_a_table(number: int) -> None:
    """Whatever a server sends as a time is written somehow."""
    assert stamp(number)
    assert age(number)
