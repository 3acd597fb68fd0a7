"""Long work on a thread behind the scenes, in slices: those who decide must not wait for Python's lock meanwhile."""

from __future__ import annotations

import time
from typing import Final

SLICE_S: Final = 0.003
PAUSE_S: Final = 0.000_1
"""Long enough for a thread that waits to get the lock; work of 400 ms takes some 20 ms longer for it."""


class Slices:
    """Called again and again by long work; a slice later it pauses for a moment."""

    def __init__(self) -> None:
        self._until_s = 0.0

    def __call__(self) -> None:
        """Let others have their turn, if it is time."""
        if time.perf_counter() >= self._until_s:
            time.sleep(PAUSE_S)
            self._until_s = time.perf_counter() + SLICE_S
