"""The clock of this machine."""

from __future__ import annotations

import time

from rollout_server.adapters.system_clock import SystemClock


def test_wall_time_is_unix_milliseconds() -> None:
    """Between two readings of the system's own clock."""
    before = int(time.time() * 1000)
    now = SystemClock().now_ms()
    assert before <= now <= int(time.time() * 1000) + 1


def test_monotonic_time_never_steps_back() -> None:
    """A thousand readings in order."""
    clock = SystemClock()
    readings = [clock.monotonic_ms() for _ in range(1000)]
    assert readings == sorted(readings)
