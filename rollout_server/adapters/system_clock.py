"""The clock of this machine."""

from __future__ import annotations

import time

_NS_PER_MS = 1_000_000


class SystemClock:
    """Wall and monotonic time, as `ports.Clock` promises."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC. May step backwards."""
        return time.time_ns() // _NS_PER_MS

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment of this process."""
        return time.monotonic_ns() // _NS_PER_MS
