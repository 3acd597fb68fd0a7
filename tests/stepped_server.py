"""`rollout serve` on a machine whose wall clock a test sets: SIGUSR1 an hour forward, SIGUSR2 an hour back.

What counts milliseconds since some fixed moment goes on, as it does where somebody sets a clock.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from rollout_server.adapters.system_clock import SystemClock
from rollout_server.launcher import main

HOUR_MS = 3_600_000
STEPS = {signal.SIGUSR1: HOUR_MS, signal.SIGUSR2: -HOUR_MS}


_off_ms = [0]
_now_ms = SystemClock.now_ms


def now_ms(clock: SystemClock) -> int:
    """The time of this machine, off by as much as was asked for."""
    return _now_ms(clock) + sum(_off_ms)


def step(number: int, _frame: FrameType | None) -> None:
    """Set the clock."""
    _off_ms.append(STEPS[signal.Signals(number)])


if __name__ == "__main__":
    SystemClock.now_ms = now_ms  # type: ignore[method-assign, assignment] # in this process alone
    for each in STEPS:
        signal.signal(each, step)
    sys.exit(main())
