"""Telling callers that decisions may have changed.

Each callback has a thread of its own: one that hangs or raises harms nobody, and what happens meanwhile is told in one
call when it returns.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

OnChange: TypeAlias = "Callable[[frozenset[str]], object]"
"""Gets the keys of the flags whose decisions may differ from now on."""

_log = logging.getLogger("rollout_sdk")


class Subscription:
    """One callback and its thread."""

    def __init__(self, callback: OnChange) -> None:
        self._callback = callback
        self._has_warned = False
        self.restart()

    def restart(self) -> None:
        """Run on a new thread, forgetting what was not told yet; after a fork the old one does not exist."""
        self._wakeup = threading.Condition()
        self._pending: frozenset[str] = frozenset()
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="rollout-on-change", daemon=True)
        self._thread.start()

    def tell(self, flags: frozenset[str]) -> None:
        """Call back soon; never waits for the callback."""
        with self._wakeup:
            self._pending |= flags
            self._wakeup.notify()

    def end(self) -> None:
        """Call back no more; a call under way is left to finish."""
        with self._wakeup:
            self._is_ended = True
            self._wakeup.notify()

    def _run(self) -> None:
        wakeup = self._wakeup
        while True:
            with wakeup:
                wakeup.wait_for(lambda: self._is_ended or self._pending)
                if self._is_ended:
                    return
                flags, self._pending = self._pending, frozenset()
            try:
                self._callback(flags)
            except Exception:  # noqa: BLE001 - a caller's code; logged whole, once
                if not self._has_warned:
                    self._has_warned = True
                    _log.exception("an on_change callback raised; it will be called again, and not be logged again")
