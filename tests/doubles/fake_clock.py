"""A clock that a test sets."""

from __future__ import annotations

START_MS = 1_800_000_000_000


class FakeClock:
    """Stands still until the test moves it; wall time may go backwards, monotonic time does not."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.wall_ms = start_ms
        self.steady_ms = 0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.steady_ms

    def advance(self, by_ms: int) -> None:
        """Let time pass on both."""
        self.wall_ms += by_ms
        self.steady_ms += by_ms

    def step(self, by_ms: int) -> None:
        """Set the wall clock forwards or backwards, as an administrator would."""
        self.wall_ms += by_ms
