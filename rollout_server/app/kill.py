"""Kill and unkill: a flag serves `off` to everybody, above all rules; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.intent import Intent

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry


@dataclass(frozen=True, slots=True)
class Kill:
    """Serve `off` to everybody. Needs no reason, no approval and no healthy SDK."""

    flag: str
    intent: Intent = Intent()


@dataclass(frozen=True, slots=True)
class Unkill:
    """Let the flag's rules decide again; this grows."""

    flag: str
    intent: Intent = Intent()


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of a kill or an unkill.

    Attributes:
        entry: the entry this call (or the first with its key) wrote; where `unchanged`, None.
        unchanged: it already was so.
    """

    entry: Entry | None
    position: Position
    unchanged: bool


async def kill(environment: Environment, command: Kill, actor: Actor) -> Killed:
    """Kill the flag.

    Raises:
        NotFound: there is no such flag; the hint names near ones.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """


async def unkill(environment: Environment, command: Unkill, actor: Actor) -> Killed:
    """Lift the kill; raises as `kill`."""
