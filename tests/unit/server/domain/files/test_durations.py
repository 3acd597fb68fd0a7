"""Durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.files import durations


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0m", 0),
        ("0s", 0),
        ("500ms", 500),
        ("90s", 90_000),
        ("30m", 1_800_000),
        ("1h", 3_600_000),
        ("366d", 31_622_400_000),
    ],
)
def test_durations_are_exact_milliseconds(text: str, duration_ms: int) -> None:
    """One whole number and its unit."""
    assert durations.parse(text) == duration_ms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("30", "has no unit"),
        ("-5m", "is negative"),
        ("+5m", "has a sign"),
        ("1.5h", "is not a duration"),
        ("1h30m", "is not a duration"),
        ("30 m", "is not a duration"),
        ("030m", "is not a duration"),
        ("1w", "is not a duration"),
        ("1H", "is not a duration"),
        ("", "is not a duration"),
        ("1" * 40 + "s", "is not a duration"),
        ("367d", "is longer than 366d"),
    ],
)
def test_anything_else_is_refused_with_a_hint(text: str, why: str) -> None:
    """Bare numbers, signs, fractions, several units, and more than a year."""
    with pytest.raises(durations.NotADuration, match=why) as caught:
        durations.parse(text)
    assert caught.value.hint
    assert caught.value.too_long is (text == "367d")


@given(st.integers(0, durations.DURATION_MAX_MS))
def test_every_duration_reads_back(duration_ms: int) -> None:
    """The shortest form says the same."""
    assert durations.parse(durations.show(duration_ms)) == duration_ms


def test_the_largest_unit_that_fits_is_shown() -> None:
    """As people say it."""
    shown = {durations.show(one) for one in (0, 90_000, 5_400_000, 86_400_000, 1_500)}
    assert shown == {"0m", "90s", "90m", "1d", "1500ms"}
