"""A span of work for one context: what is recorded in it belongs to exactly the flags decided in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol, Self

from rollout_sdk import carry
from rollout_sdk.engine.context import Context

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextvars import Token
    from types import TracebackType

    from rollout_sdk.attribution import Attribution
    from rollout_sdk.engine.model import Decision, Json
    from rollout_sdk.lazy_context import LazyContext

CURRENT: Final[ContextVar[Scope | None]] = ContextVar("rollout_scope", default=None)
"""The innermost scope around the code that runs; tasks of asyncio inherit it."""

DEPTH_MAX: Final = 16
"""Scopes around a decision that take note of it."""


class Asks(Protocol):
    """The client behind a scope."""

    def enabled(self, flag: str, context: Context, default: bool = False) -> bool: ...  # noqa: D102, FBT001, FBT002 - as Client has it
    def string(self, flag: str, context: Context, default: str = "") -> str: ...  # noqa: D102 - as Client has it
    def integer(self, flag: str, context: Context, default: int = 0) -> int: ...  # noqa: D102 - as Client has it
    def number(self, flag: str, context: Context, default: float = 0.0) -> float: ...  # noqa: D102 - as Client has it
    def json(self, flag: str, context: Context, default: Json = None) -> Json: ...  # noqa: D102 - as Client has it
    def decide(self, flag: str, context: Context, default: Json = None) -> Decision: ...  # noqa: D102 - as Client has it


class Desk(Protocol):
    """Where outcomes go."""

    def record_for(self, metric: str, value: object, attributions: Collection[Attribution], open_count: int) -> None:
        """Count an outcome for these, and as unattributed for `open_count` rollouts besides. Never raises."""


class Scope:
    """What `Client.scope` and `Client.resume` return. Use it with `with`, or only by its own methods.

    Inside the `with` block decisions of the same client count here wherever they are made: deep code and tasks of
    asyncio included. A thread is not inside; hand it the scope. Afterwards the scope still records.
    """

    __slots__ = ("_attributions", "_client", "_context", "_desk", "_open", "_outer", "_tokens")

    def __init__(
        self, client: Asks, desk: Desk, context: Context | LazyContext, carried: Iterable[Attribution] = ()
    ) -> None:
        """Use `Client.scope` or `Client.resume`."""
        self._context = context
        self._client = client
        self._desk = desk
        self._attributions = {each.place.rollout: each for each in carried}
        self._open: set[str] = set()
        self._outer: Scope | None = None
        self._tokens: list[Token[Scope | None]] = []

    @property
    def context(self) -> Context:
        """Whom it is for. One that is given as a function is made now, once."""
        context = self._context
        return context if isinstance(context, Context) else context.get()

    # ------------------------------------------------------------------------------------------------------ decisions

    def enabled(self, flag: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - the shape of every such call
        """As `Client.enabled` for the scope's context."""
        with _Inside(self):
            return self._client.enabled(flag, self.context, default)

    def string(self, flag: str, default: str = "") -> str:
        """As `Client.string` for the scope's context."""
        with _Inside(self):
            return self._client.string(flag, self.context, default)

    def integer(self, flag: str, default: int = 0) -> int:
        """As `Client.integer` for the scope's context."""
        with _Inside(self):
            return self._client.integer(flag, self.context, default)

    def number(self, flag: str, default: float = 0.0) -> float:
        """As `Client.number` for the scope's context."""
        with _Inside(self):
            return self._client.number(flag, self.context, default)

    def json(self, flag: str, default: Json = None) -> Json:
        """As `Client.json` for the scope's context."""
        with _Inside(self):
            return self._client.json(flag, self.context, default)

    def decide(self, flag: str, default: Json = None) -> Decision:
        """As `Client.decide` for the scope's context."""
        with _Inside(self):
            return self._client.decide(flag, self.context, default)

    # ------------------------------------------------------------------------------------------------------- outcomes

    def record(self, metric: str, value: object = True) -> None:  # noqa: FBT002 - true is what happened
        """Count an outcome of the flags decided so far. Never raises, never waits for the network.

        Args:
            metric: key of a metric of the catalogue.
            value: of the metric's kind: whether it happened, how often, how much.
        """
        self._desk.record_for(metric, value, self._certain(), len(self._open))

    def carry(self) -> str:
        """Return a short token with which `Client.resume` goes on elsewhere, for the flags decided so far.

        It says which arms of which runs this is about, and holds no key of a unit.
        """
        return carry.write(self._certain())

    def _certain(self) -> tuple[Attribution, ...]:
        everything = tuple(self._attributions.values())
        return tuple(each for each in everything if each.place.rollout not in self._open) if self._open else everything

    def note(self, desk: Desk, kind: str, context: Context, attribution: Attribution) -> None:
        """Take note of a decision by a rollout, here and in the scopes around.

        A decision for another unit than the scope's own is not about this scope. Two different arms of one rollout
        within one scope leave it open which of them an outcome is of.
        """
        scope: Scope | None = self
        for _ in range(DEPTH_MAX):
            if scope is None:
                return
            if scope._desk is desk:  # noqa: SLF001 - of the same class
                scope._take(kind, context, attribution)  # noqa: SLF001 - of the same class
            scope = scope._outer  # noqa: SLF001 - of the same class

    def _take(self, kind: str, context: Context, attribution: Attribution) -> None:
        own = self.context.units.get(kind)
        if own is not None and own != context.units.get(kind):
            return
        known = self._attributions.setdefault(attribution.place.rollout, attribution)
        was, now = known.place, attribution.place
        if (was.run, was.arm) != (now.run, now.arm):
            self._open.add(attribution.place.rollout)

    def is_about(self, desk: Desk, context: Context) -> bool:
        """Whether an outcome of this context, recorded at this desk, is one of this scope."""
        return self._desk is desk and (context is self.context or context.units == self.context.units)

    # ----------------------------------------------------------------------------------------------------------- with

    def __enter__(self) -> Self:
        outer = CURRENT.get()
        if not self._tokens:
            self._outer = outer
        self._tokens.append(CURRENT.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            CURRENT.reset(self._tokens.pop())
        except (IndexError, ValueError, RuntimeError):  # entered in another task: here it is left all the same
            CURRENT.set(self._outer)

    def __repr__(self) -> str:
        """How many rollouts; nothing personal."""
        return f"<Scope of {len(self._attributions)} rollouts>"


def current_scope() -> Scope | None:
    """Return the innermost scope around the code that runs: middleware opens one for each request and task."""
    return CURRENT.get()


class _Inside:
    """Makes a scope the current one for one call, on whatever thread; unless it is around the caller already."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._token: Token[Scope | None] | None = None

    def __enter__(self) -> None:
        around = CURRENT.get()
        for _ in range(DEPTH_MAX):
            if around is None or around is self._scope:
                break
            around = around._outer  # noqa: SLF001 - of the same module
        if around is not self._scope:
            self._token = CURRENT.set(self._scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            CURRENT.reset(self._token)
