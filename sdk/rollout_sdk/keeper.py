"""The thread that touches the disk, so that no other has to: saves rulesets, and looks at the overrides file."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S: Final = 0.5
"""How often the overrides file is looked at; it is promised to act within a second."""
SAVE_EVERY_S: Final = 1.0
"""At most one write in this time, however often rules change."""

_log = logging.getLogger("rollout_sdk")


class Keeper:
    """One thread from `start` to `stop`.

    Args:
        look: looks at the overrides file; None where there is none.
        save: writes what is in force; None where it is not kept.
    """

    def __init__(self, look: Callable[[], object] | None, save: Callable[[], object] | None) -> None:
        self._look = look
        self._save = save
        self._wakeup = threading.Condition()
        self._is_stopping = False
        self._is_unsaved = False
        self._saved = threading.Event()
        self._saved.set()
        self._thread = threading.Thread(target=self._run, name="rollout-keeper", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to do."""
        if self._look or self._save:
            self._thread.start()

    def ask_to_save(self) -> None:
        """What is in force has changed; returns at once."""
        if self._save is None:
            return
        with self._wakeup:
            self._is_unsaved = True
            self._saved.clear()
            self._wakeup.notify()

    def wait_until_saved(self, timeout_s: float) -> bool:
        """Return whether everything that was asked for is written."""
        return self._saved.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Write what is unsaved and end; return whether that was done in time."""
        with self._wakeup:
            self._is_stopping = True
            self._wakeup.notify()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        is_stopping = False
        while not is_stopping:
            with self._wakeup:
                self._wakeup.wait_for(
                    lambda: self._is_stopping or self._is_unsaved, LOOK_EVERY_S if self._look else None
                )
            self._attempt(self._look)
            with self._wakeup:
                is_stopping, wants_save, self._is_unsaved = self._is_stopping, self._is_unsaved, False
            if wants_save:
                self._attempt(self._save)
                self._rest()

    def _rest(self) -> None:
        with self._wakeup:
            if not self._is_unsaved:
                self._saved.set()
            self._wakeup.wait_for(lambda: self._is_stopping, SAVE_EVERY_S)

    def _attempt(self, act: Callable[[], object] | None) -> None:
        if act is None:
            return
        try:
            act()
        except Exception:  # noqa: BLE001 - the other duty must go on
            _log.exception("a bug in the keeper thread; decisions do not depend on it")
