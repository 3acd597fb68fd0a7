"""Servers on one store, and places in what they tell."""

from __future__ import annotations

from rollout_server.domain.replicas import Spot


def test_what_is_missing_is_seen() -> None:
    """The next word of the same run, or the first of a later one: anything else leaves a gap."""
    here = Spot(7, 3)
    assert Spot(7, 4).is_next(here)
    assert Spot(8, 1).is_next(here)
    assert Spot(7, 1).is_next(Spot())
    for other in (Spot(7, 3), Spot(7, 5), Spot(8, 2), Spot(6, 1), Spot(7, 1)):
        assert not other.is_next(here)


def test_spots_are_in_the_order_of_telling() -> None:
    assert sorted([Spot(8, 1), Spot(7, 9), Spot(7, 2), Spot()]) == [Spot(), Spot(7, 2), Spot(7, 9), Spot(8, 1)]
