"""Revert: undo one entry by writing the specs that stood before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.intent import NO_INTENT, Intent

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.journal import Entry


@dataclass(frozen=True, slots=True)
class Revert:
    """Undo the entry of this revision: each resource it changed goes back to the spec it had before."""

    revision: int
    intent: Intent = NO_INTENT
    allow_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Reverted:
    """`entry` is None where every spec already stands as it did before."""

    entry: Entry | None
    position: Position


async def revert(environment: Environment, command: Revert, actor: Actor, fleet: Fleet) -> Reverted:
    """Write the earlier specs; status (killed) stays as it is.

    Raises:
        NotFound: there is no such entry, or it is no longer kept.
        InvalidInput: the earlier specs do not fit what stands now.
        Refused: "revert-verb", the entry is the work of a verb with its own undo; the hint has the command.
        Conflict, Unavailable: as `apply`.
    """
