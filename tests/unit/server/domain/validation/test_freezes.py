"""Freezes."""

import pytest

from tests.small_rollouts import places
from tests.small_state import document


def freeze(start: str, end: str, **spec: object) -> list[tuple[str, str]]:
    return places(document("Freeze", "weekends", **{"from": start, "to": end, **spec}))


def test_good_freezes_are_good() -> None:
    """Weekly ones in a zone, given ones with theirs."""
    assert freeze("FRI 16:00", "MON 08:00", zone="Asia/Seoul", stagger="15m") == []
    assert freeze("2026-12-24T00:00:00+09:00", "2026-12-24T00:00:00Z") == []


@pytest.mark.parametrize(
    ("start", "end", "zone", "place", "code"),
    [
        ("FRI 16:00", "MON 08:00", "", "spec.zone", "no_zone"),
        ("FRI 16:00", "MON 08:00", "Asia/Seol", "spec.zone", "unknown_zone"),
        ("FRI 16:00", "MON 08:00", "../../etc/passwd", "spec.zone", "unknown_zone"),
        ("FRI 16:00", "MON 08:00", "Asia", "spec.zone", "unknown_zone"),
        ("FRI 16:00", "MON 08:00", "right/UTC", "spec.zone", "unknown_zone"),
        ("FRI 16:00", "MON 08:00", "localtime", "spec.zone", "unknown_zone"),
        ("FRY 16:00", "MON 08:00", "UTC", "spec.from", "unknown_weekday"),
        ("fri 16:00", "MON 08:00", "UTC", "spec.from", "unknown_weekday"),
        ("FRI 16:00", "MON 24:00", "UTC", "spec.to", "bad_moment"),
        ("FRI 16:00", "MON 8 o'clock", "UTC", "spec.to", "bad_moment"),
        ("FRI 16:00", "FRI 16:00", "UTC", "spec.to", "empty_freeze"),
        ("2026-12-24T00:00:00", "2026-12-25T00:00:00Z", "", "spec.from", "no_zone"),
        ("2026-12-24", "2026-12-25T00:00:00Z", "", "spec.from", "bad_moment"),
        ("2026-12-24T00:00:00Z", "2026-12-24T09:00:00+09:00", "", "spec.to", "empty_freeze"),
        ("2026-12-24T00:00:00Z", "2026-12-23T00:00:00Z", "", "spec.to", "empty_freeze"),
        ("2026-12-24T00:00:00Z", "MON 08:00", "UTC", "spec.to", "bad_freeze"),
    ],
)
def test_a_freeze_that_nobody_can_tell_is_refused(start: str, end: str, zone: str, place: str, code: str) -> None:
    """Which zone, which day, which end."""
    assert freeze(start, end, **({"zone": zone} if zone else {})) == [(place, code)]


def test_rollouts_come_back_within_a_day_of_each_other() -> None:
    """A stagger of months is a slip of the pen."""
    assert freeze("FRI 16:00", "MON 08:00", zone="UTC", stagger="25h") == [("spec.stagger", "out_of_range")]
