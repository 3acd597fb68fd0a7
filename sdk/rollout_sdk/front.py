"""The one thing that decisions read, and those who are told of each of them."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.asking import Now
from rollout_sdk.engine.context import as_context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.overrides import NotReady
from rollout_sdk.own_lock import OwnLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.asking import Decides
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Decision, Json, Origin, ValueType

OnDecision: TypeAlias = "Callable[[Decision, Context], object]"
"""Gets every decision and whom it is for, in the thread that asked, before the answer is given."""

_log = logging.getLogger("rollout_sdk")


class Front:
    """What decides now. Reading it is all that a decision pays for it; nobody observes unless asked to.

    Attributes:
        inner: what decides, without observers.
        now: what answers the caller.
    """

    __slots__ = ("_lock", "_observers", "inner", "now")

    def __init__(self) -> None:
        self.inner: Decides = NotReady()
        self.now = Now(self.inner)
        self._observers: list[Observer] = []
        self._lock = OwnLock()

    def put(self, inner: Decides) -> None:
        """Decide by this from now on."""
        self.inner = inner
        self._lay()

    def _lay(self) -> None:
        """Lay the observers over what decides.

        No decision meets `bound` of other rules than those that decide, nor flags in it that are observed or
        overridden: so it is emptied first and filled last. Whoever was interrupted by a change begins again.
        """
        with self._lock():
            while True:
                inner, observers = self.inner, tuple(self._observers)
                decider: Decides = Observed(inner, observers) if observers else inner
                self.now.bound = {}
                self.now.decider = decider
                self.now.bound = decider.bound if isinstance(decider, Decider) else {}
                if self.inner is inner and observers == tuple(self._observers):
                    return

    def observe(self, callback: OnDecision) -> Callable[[], None]:
        """Tell of every decision from now on.

        Returns:
            A function that ends it.
        """
        observer = Observer(callback)
        self._observers.append(observer)
        self._lay()

        def end() -> None:
            with suppress(ValueError):  # ended before
                self._observers.remove(observer)
            self._lay()

        return end


class Observer:
    """One callback. What it raises is logged, once, and goes no further."""

    __slots__ = ("_callback", "_has_warned")

    def __init__(self, callback: OnDecision) -> None:
        self._callback = callback
        self._has_warned = False

    def tell(self, decision: Decision, context: Context) -> None:
        """Call back, whatever happens."""
        try:
            self._callback(decision, context)
        except Exception:  # noqa: BLE001 - a caller's code; logged whole, once
            if not self._has_warned:
                self._has_warned = True
                _log.exception("an on_decision callback raised; it will be called again, and not be logged again")


class Observed:
    """Laid over what decides while somebody observes."""

    __slots__ = ("_inner", "_observers")

    def __init__(self, inner: Decides, observers: tuple[Observer, ...]) -> None:
        self._inner = inner
        self._observers = observers

    @property
    def origin(self) -> Origin:
        """Where the decisions come from."""
        return self._inner.origin

    def decide(
        self,
        flag_key: str,
        context: Context,
        default: Json = None,
        type: ValueType | None = None,  # noqa: A002 - as the engine has it
    ) -> Decision:
        """Decide, tell, and answer."""
        decision = self._inner.decide(flag_key, context, default, type)
        for observer in self._observers:
            observer.tell(decision, as_context(context))
        return decision

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Tell nobody: who looks at all flags uses none of them."""
        return self._inner.decide_all(context)
