"""Whether a server has confirmed the rules in force, for threads that wait and for loops that are woken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """Goes from not ready to ready, once."""

    def __init__(self, *, is_ready: bool = False) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._awaiting: list[Callable[[], None]] = []
        if is_ready:
            self._event.set()

    @property
    def is_ready(self) -> bool:
        """Whether it is so by now."""
        return self._event.is_set()

    def wait(self, timeout_s: float | None) -> bool:
        """Block until it is so, or time is up."""
        return self._event.wait(timeout_s)

    def when_ready(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` once, from any thread, as soon as it is so; return what forgets it."""
        with self._lock:
            is_ready = self._event.is_set()
            if not is_ready:
                self._awaiting.append(wake)
        if is_ready:
            wake()

        def forget() -> None:
            with self._lock:
                if wake in self._awaiting:
                    self._awaiting.remove(wake)

        return forget

    def set(self) -> bool:
        """It is so; wake everybody. Return whether it was not before."""
        if self._event.is_set():
            return False
        with self._lock:
            self._event.set()
            awaiting, self._awaiting = self._awaiting, []
        for wake in awaiting:
            wake()
        return True
