"""A context that is made when it is first asked for, by a function of the caller's."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from rollout_sdk.engine.context import EMPTY, Context, as_context

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED_MAX = 256

_log = logging.getLogger("rollout_sdk")
_warned: set[object] = set()


class LazyContext:
    """Calls a function at most once, and never raises: where it fails, the context is empty.

    A function that itself decides flags meets an empty context while it runs. What goes wrong is logged once for each
    function.
    """

    __slots__ = ("_has_begun", "_lock", "_made", "_make")

    def __init__(self, make: Callable[[], object]) -> None:
        """Call nothing yet.

        Args:
            make: returns the context; None stands for an empty one.
        """
        self._make = make
        self._made: Context | None = None
        self._lock = threading.RLock()
        self._has_begun = False

    def get(self) -> Context:
        """Return the context."""
        if self._made is not None:
            return self._made
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                self._made = self._call()
            return self._made or EMPTY

    def _call(self) -> Context:
        try:
            found = self._make()
        except Exception:  # noqa: BLE001 - a caller's code; logged whole, once
            if _is_first(self._make):
                _log.exception(
                    "the context function raised; such a request has an empty context, and is not logged again"
                )
            return EMPTY
        context = as_context(found)
        if context is found:
            return context
        if found is not None:
            with suppress(Exception):
                found.close()  # type: ignore[attr-defined] # a coroutine that nobody will await, if it is one
            if _is_first(self._make):
                _log.error(
                    "the context function returned %s and no Context; such a request has an empty context."
                    " It must be a plain function, not an asynchronous one",
                    type(found).__name__,
                )
        return EMPTY


def _is_first(make: Callable[[], object]) -> bool:
    """Whether this function has not been complained about; one that is made anew for each request is one function."""
    try:
        function: object = make.func if isinstance(make, partial) else make
        function = getattr(function, "__code__", function)
        if function in _warned or len(_warned) >= _REMEMBERED_MAX:
            return False
        _warned.add(function)
    except Exception:  # noqa: BLE001 - a callable of the caller's own making, with a hash or attributes that raise
        return False
    return True
