"""Audit: is the journal what was written, and memory what the journal says?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_server.domain.history import difference

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.domain.verification import Verification


async def verify(environment: Environment, expected_head: Position | None = None) -> Verification:
    """Fold the whole log again, check every digest, and compare the result with what this server answers from.

    Args:
        environment: whose journal.
        expected_head: kept elsewhere (`head`); without it a truncated tail cannot be found.

    Raises:
        Unavailable: the store is away.
    """
    found = await environment.journal.verify(expected_head)
    if not found.intact:
        return found
    stored = await environment.journal.load()
    memory = environment.state
    # While others write, the two are moments apart; then they say nothing about each other.
    if memory.position != stored.position:
        return found
    differs = difference(stored, memory)
    if not differs:
        return found
    names = ", ".join(str(item.id) for item in differs[:5])
    problem = f"this server answers from a memory that differs from the journal in {names}; restart it"
    return replace(found, intact=False, problem=problem)


def head(environment: Environment) -> Position:
    """Return the position to keep elsewhere: with it, a later `verify` finds a tail that was cut off."""
    return environment.position
