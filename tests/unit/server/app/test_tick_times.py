"""Signs of life of a controller."""

from __future__ import annotations

from rollout_server.app.tick_times import TickTimes


def test_the_first_tick_is_a_sign_of_life_before_it_ends() -> None:
    """A first tick that hangs grows old like any other."""
    ticks = TickTimes()
    assert ticks.age_ms(5) is None
    ticks.began(1_000)
    assert ticks.age_ms(61_000) == 60_000


def test_a_later_tick_that_hangs_is_as_old_as_the_last_that_ended() -> None:
    ticks = TickTimes()
    ticks.began(1_000)
    ticks.ended(1_000, 1_250)
    ticks.began(6_000)
    assert ticks.age_ms(9_250) == 8_000
    assert (ticks.took.count, ticks.took.sum_s) == (1, 0.25)


def test_whoever_does_not_drive_has_no_age() -> None:
    """And takes the lease with a fresh one."""
    ticks = TickTimes()
    ticks.began(0)
    ticks.rests()
    assert ticks.age_ms(99_000) is None
    ticks.began(100_000)
    assert ticks.age_ms(100_500) == 500
