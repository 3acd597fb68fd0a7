"""What a caller asks, and what answers at this moment.

A room of its own so that the compiled engine has it: a question is then a call of C. Compiled code holds its callers to
annotations, and no question ever raises, so here anything is taken; `rollout_sdk.Client` says what callers should give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import ValueType

try:
    from mypy_extensions import mypyc_attr
except ImportError:  # it comes with the compiler, which alone looks at it

    def mypyc_attr(**_attributes: bool):  # type: ignore[no-untyped-def, misc] # noqa: ANN201 - as there
        """Leave a class as it is."""
        return lambda class_: class_


if TYPE_CHECKING:
    from rollout_sdk.engine.decide import Bound
    from rollout_sdk.engine.model import Decision, Json
    from rollout_sdk.engine.origin import Origin

_BOOLEAN = ValueType.BOOLEAN


class Decides(Protocol):
    """What answers a client's questions: a compiled ruleset, or something laid over one."""

    @property
    def origin(self) -> Origin:
        """Where the decisions come from."""

    def decide(
        self,
        flag_key: str,
        context: Context,
        default: Json = None,
        type: ValueType | None = None,  # noqa: A002 - as the engine has it
    ) -> Decision:
        """Total, as `engine.decide.Decider.decide`."""

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Every flag that is known here."""


@final
class Now:
    """What decides now. It is written by one place, and read by every decision.

    Attributes:
        decider: what answers the caller.
        bound: flags that may be decided without asking `decider`, for it would do no more; empty where it does more.
    """

    __slots__ = ("bound", "decider")

    def __init__(self, decider: Decides) -> None:
        """Ask this about everything."""
        self.decider = decider
        self.bound: Bound = {}


@mypyc_attr(allow_interpreted_subclasses=True)
class Asking:
    """The questions. None of them raises, waits, or reads anything but memory.

    The two that are asked most answer by themselves what was asked before, as the decider would: one call less, which
    is a third of a decision (docs/adr/0014). Whatever is not so simple goes to the decider, which is total.
    """

    def __init__(self, now: Now) -> None:
        """Ask whatever stands there."""
        self._now = now

    def enabled(self, flag: object, context: Context, default: object = False) -> object:  # noqa: FBT002 - the shape of every such call
        """Return what a boolean flag serves, or `default`."""
        bound = self._now.bound
        if bound and type(context) is Context:
            try:
                evaluate, decisions, own, _ = bound[flag]
                if own is _BOOLEAN:
                    decision = decisions[evaluate(context)]
                    if decision is not None:
                        return decision.value
            except Exception:  # noqa: BLE001, S110 - asked for the first time, or odd
                pass
        decider: Any = self._now.decider  # takes anything, whatever it says it wants
        value: object = decider.decide(flag, context, default, _BOOLEAN).value
        return value

    def decide(self, flag: object, context: Context, default: object = None) -> Decision:
        """Return what a flag of any type serves, and why."""
        bound = self._now.bound
        if bound and type(context) is Context:
            try:
                evaluate, decisions, _, _ = bound[flag]
                decision = decisions[evaluate(context)]
                if decision is not None:
                    return decision
            except Exception:  # noqa: BLE001, S110 - asked for the first time, or odd
                pass
        decider: Any = self._now.decider  # as above
        found: Decision = decider.decide(flag, context, default)
        return found
