"""The clock that windows are counted by: it starts with the wall clock and never jumps.

A step of the wall clock would put reports into windows that were judged already, or far ahead of those that are, and
every run would be blind for as long as the step. So time goes on by the monotonic clock; and after a restart, never
from before the last window that holds anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.ports import Clock


class WindowClock:
    """Milliseconds since the epoch, roughly; exactly monotonic."""

    def __init__(self, clock: Clock, window_ms: int, last_window: int) -> None:
        """Start now.

        Args:
            clock: of this process.
            window_ms: how long a window is.
            last_window: that holds anything, -1 for none; time does not start before it.
        """
        self.window_ms = window_ms
        self._clock = clock
        start_ms = max(clock.now_ms(), last_window * window_ms)
        self._offset_ms = start_ms - clock.monotonic_ms()

    def now_ms(self) -> int:
        """Return the time; never less than before."""
        return self._clock.monotonic_ms() + self._offset_ms

    def window_at(self, at_ms: int) -> int:
        """Return the window that holds a moment of this clock."""
        return at_ms // self.window_ms
