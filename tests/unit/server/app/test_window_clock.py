"""The clock of windows."""

from rollout_server.app.window_clock import WindowClock
from tests.doubles.fake_clock import START_MS, FakeClock


def test_steps_of_the_wall_clock_change_nothing() -> None:
    """Promise 19: an hour forwards, two back."""
    clock = FakeClock()
    windows = WindowClock(clock, 10_000, -1)
    assert windows.now_ms() == START_MS
    for by_ms in (3_600_000, -7_200_000):
        clock.step(by_ms)
        clock.advance(5_000)
    assert windows.now_ms() == START_MS + 10_000
    assert windows.window_at(windows.now_ms()) == START_MS // 10_000 + 1


def test_after_a_restart_time_does_not_go_behind_the_last_window() -> None:
    """Else every report would be late until the wall clock has caught up."""
    clock = FakeClock()
    clock.step(-3_600_000)
    windows = WindowClock(clock, 10_000, START_MS // 10_000)
    assert windows.window_at(windows.now_ms()) == START_MS // 10_000
