"""What happens to a run. Times in verbs are written down, never compared; `by` is a person unless said otherwise.

A verb that means a stage names the one its author saw (`expects`); on another the run refuses it. Verbs that only make
things safer (pause, rollback, kill) name none: they are right wherever the run is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rollout_server.domain.guardrails.verdict import Standing


@dataclass(frozen=True, slots=True)
class Judged:
    """What the statistics say of one guard at a tick: as much of their verdict as the machine acts on.

    Attributes:
        guard: name of the guard.
        sentence: with its figures, as people read it everywhere.
        hold: nobody is blamed, but the run must wait: an outage that hit both arms.
    """

    guard: str
    standing: Standing
    sentence: str = ""
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes, and this is what is seen.

    Attributes:
        now_ms: wall clock; may jump either way.
        tick_ms: how far apart ticks should be.
        verdicts: of every guard; a guard without one is blind.
        exposed_units: of this run so far.
        is_frozen: nothing may grow now.
        may_grow: it is this run's turn after a freeze.
        closure: marks as they are now; None when nobody looked.
    """

    now_ms: int
    tick_ms: int
    verdicts: tuple[Judged, ...] = ()
    exposed_units: int = 0
    is_frozen: bool = False
    may_grow: bool = True
    closure: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Enter the first stage. `by` may be "schedule"; `is_frozen` is for that actor, exemptions counted in."""

    by: str
    at_ms: int
    reason: str = ""
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop, and keep who is exposed."""

    by: str
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause."""

    by: str
    at_ms: int
    expects: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Promote:
    """Go to a stage now, whatever its predecessors still wait for.

    Attributes:
        to: name of a stage or "finish"; empty is the next one.
        reason: needed to go forward.
        is_frozen: for this actor, exemptions counted in; going back does not mind.
    """

    by: str
    at_ms: int
    expects: str
    to: str = ""
    reason: str = ""
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class Approve:
    """Agree that the stage may be left, once all else is met. Who may is checked before."""

    by: str
    at_ms: int
    expects: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not agree: the run is paused and what others approved of this stage is void."""

    by: str
    at_ms: int
    expects: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Everyone gets `from`, and the run is over."""

    by: str
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """The flag serves `off` to everybody, and the run is over."""

    by: str
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Never start."""

    by: str
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """Write `to` into the flag and drop the rule."""

    by: str
    at_ms: int
    expects: str
    reason: str = ""
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody looks after it: nobody else need be told."""

    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ClosureEdited:
    """What reach depends on was edited, in the entry that this transition joins."""

    by: str
    at_ms: int
    closure: tuple[tuple[str, str], ...]


Verb: TypeAlias = (
    "Start | Pause | Resume | Promote | Approve | Reject | Finish | Rollback | Kill | Cancel | Acknowledge"
)
Event: TypeAlias = "Tick | ClosureEdited | Verb"

EVENTS: tuple[type[Event], ...] = (
    Start,
    Tick,
    Pause,
    Resume,
    Promote,
    Approve,
    Reject,
    Finish,
    Acknowledge,
    ClosureEdited,
    Rollback,
    Kill,
    Cancel,
)


def moment_ms(event: Event) -> int:
    """Return the wall clock that an event carries."""
    return event.now_ms if isinstance(event, Tick) else event.at_ms
