"""Percentages."""

from __future__ import annotations

import pytest

from rollout_server.domain.files import percent


@pytest.mark.parametrize(
    ("text", "share_ppm"),
    [
        ("0%", 0),
        ("25%", 250_000),
        ("0.5%", 5_000),
        ("0.0001%", 1),
        ("99.9999%", 999_999),
        ("100%", 1_000_000),
        ("100.0%", 1_000_000),
        ("25.00000%", 250_000),
        ("33.3333%", 333_333),
    ],
)
def test_percentages_are_exact_parts_per_million(text: str, share_ppm: int) -> None:
    """What a percentage says is what the split gets, to the last part per million."""
    assert percent.parse(text) == share_ppm


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.00001%", "finer than 0.0001%"),
        ("100.0001%", "above 100%"),
        ("101%", "above 100%"),
        ("-5%", "negative"),
        ("+5%", "sign"),
        ("25", "not a percentage"),
        ("25 %", "not a percentage"),
        ("0.25", "not a percentage"),
        ("1e1%", "not a percentage"),
        ("025%", "not a percentage"),
        (".5%", "not a percentage"),
        ("5.%", "not a percentage"),
        ("%", "not a percentage"),
        ("", "not a percentage"),
        ("\u0665%", "not a percentage"),
        ("25%\n", "not a percentage"),
        ("1" * 5_000 + "%", "not a percentage"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, why: str) -> None:
    """Nothing is rounded, cut or guessed."""
    with pytest.raises(percent.NotAPercentage, match=why) as refused:
        percent.parse(text)
    assert refused.value.hint


def test_shares_are_shown_the_shortest_exact_way() -> None:
    """A person reads back what was written, and sums beyond one whole are shown too."""
    shown = [percent.show(share) for share in (0, 1, 250_000, 5_000, 999_999, 1_000_000, 1_250_000)]
    assert shown == ["0%", "0.0001%", "25%", "0.5%", "99.9999%", "100%", "125%"]


@pytest.mark.parametrize(
    ("text", "change_ppm"), [("+20%", 200_000), ("-3%", -30_000), ("+0%", 0), ("+250.5%", 2_505_000)]
)
def test_changes_carry_their_sign(text: str, change_ppm: int) -> None:
    """More or less than the control, exactly; the sign is never guessed."""
    assert percent.parse_change(text) == change_ppm
    assert percent.parse_change(percent.show_change(change_ppm)) == change_ppm


@pytest.mark.parametrize(
    ("text", "why"),
    [("20%", "has no sign"), ("+20", "not a percentage"), ("+100000%", "100000%"), ("+0.00001%", "finer")],
)
def test_other_changes_are_refused(text: str, why: str) -> None:
    """With what to write instead."""
    with pytest.raises(percent.NotAPercentage, match=why) as caught:
        percent.parse_change(text)
    assert caught.value.hint


def test_points_are_exact_parts_per_million() -> None:
    """Of the whole, not of the control."""
    assert percent.parse_points("0.1pp") == 1_000
    assert percent.show_points(1_000) == "0.1pp"
    assert percent.parse_points("100pp") == 1_000_000


@pytest.mark.parametrize("text", ["0.1%", "+0.1pp", "0.1 pp", "101pp", "pp", "0.00001pp"])
def test_other_points_are_refused(text: str) -> None:
    """A sign, a percentage, or finer than can be told."""
    with pytest.raises(percent.NotAPercentage, match="percentage points"):
        percent.parse_points(text)
