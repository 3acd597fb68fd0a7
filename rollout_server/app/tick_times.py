"""How the controller's ticks go: how often, how long, how long ago, and how many rollouts they could not look after."""

from __future__ import annotations

from rollout_server.app.durations import Durations

_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class TickTimes:
    """Of one environment's controller, while it drives.

    Attributes:
        took: of the ticks that ended.
        failures: rollouts that a tick could not look after.
    """

    def __init__(self) -> None:
        """Not driving."""
        self.took = Durations(_BOUNDS_S)
        self.failures = 0
        self._alive_ms: int | None = None

    def began(self, now_ms: int) -> None:
        """A tick begins (monotonic); the first one is the first sign of life."""
        if self._alive_ms is None:
            self._alive_ms = now_ms

    def ended(self, began_ms: int, now_ms: int) -> None:
        """A tick has looked at every rollout."""
        self.took.took((now_ms - began_ms) / 1_000)
        self._alive_ms = now_ms

    def rests(self) -> None:
        """Another server drives."""
        self._alive_ms = None

    def age_ms(self, now_ms: int) -> int | None:
        """Return how long ago a tick ended, or the first one began; None while another server drives."""
        return None if self._alive_ms is None else now_ms - self._alive_ms
