"""Telling callers that decisions may have changed, or that the client stands otherwise.

Each callback has a thread of its own: one that hangs or raises harms nobody, and what happens meanwhile is told in one
call when it returns.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.status import Status

OnChange: TypeAlias = "Callable[[frozenset[str]], object]"
"""Gets the keys of the flags whose decisions may differ from now on."""

OnStatus: TypeAlias = "Callable[[Status], object]"
"""Gets how the client stands now."""

_log = logging.getLogger("rollout_sdk")


class Subscription:
    """One callback and its thread."""

    def __init__(self, callback: OnChange, name: str = "on-change") -> None:
        self._callback = callback
        self._name = name
        self._has_warned = False
        self.restart()

    def restart(self) -> None:
        """Run on a new thread, forgetting what was not told yet; after a fork the old one does not exist."""
        self._wakeup = threading.Condition()
        self._pending: frozenset[str] | None = None
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name=f"rollout-{self._name}", daemon=True)
        self._thread.start()

    def tell(self, flags: frozenset[str]) -> None:
        """Call back soon; never waits for the callback."""
        with self._wakeup:
            self._pending = flags | (self._pending or frozenset())
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
                wakeup.wait_for(lambda: self._is_ended or self._pending is not None)
                flags, self._pending = self._pending, None
                if self._is_ended or flags is None:
                    return
            try:
                self._callback(flags)
            except Exception:  # noqa: BLE001 - a caller's code; logged whole, once
                if not self._has_warned:
                    self._has_warned = True
                    _log.exception(
                        "an %s callback raised; it will be called again, and not be logged again",
                        self._name.replace("-", "_"),
                    )


class Subscriptions:
    """All callbacks of one kind."""

    def __init__(self, name: str) -> None:
        """Call nobody yet.

        Args:
            name: of their threads, "on-change".
        """
        self._name = name
        self._all: list[Subscription] = []

    def add(self, callback: OnChange) -> Callable[[], None]:
        """Call back from now on; return what ends it."""
        subscription = Subscription(callback, self._name)
        self._all.append(subscription)

        def end() -> None:
            subscription.end()
            with suppress(ValueError):  # ended before
                self._all.remove(subscription)

        return end

    def tell(self, flags: frozenset[str] = frozenset()) -> None:
        """Call all of them back soon."""
        for subscription in tuple(self._all):
            subscription.tell(flags)

    def restart(self) -> None:
        """See `Subscription.restart`."""
        for subscription in tuple(self._all):
            subscription.restart()

    def end(self) -> None:
        """Call nobody any more."""
        for subscription in tuple(self._all):
            subscription.end()

    def __bool__(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self._all)
