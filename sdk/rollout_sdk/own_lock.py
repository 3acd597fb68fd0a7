"""A lock that a fork cannot leave held for ever."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class OwnLock:
    """A reentrant lock of whatever process asks for it, for objects that nobody makes anew after a fork.

    A fork copies a lock as held when another thread holds it, and that thread is not in the child. What it was about to
    change is left as it stood.
    """

    __slots__ = ("_lock", "_pid")

    def __init__(self) -> None:
        """Held by nobody."""
        self._lock = threading.RLock()  # reentrant: a signal handler or a finalizer may come here, too
        self._pid = os.getpid()

    def __call__(self) -> AbstractContextManager[object]:
        """Return this process's lock, for `with`."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.RLock(), os.getpid()
        return self._lock
