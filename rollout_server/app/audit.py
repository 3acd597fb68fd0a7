"""Audit: is the journal what was written?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found.

    Attributes:
        entries: how many were checked.
        oldest_revision: the oldest that can be replayed; the chain is checked from there.
        problem: what is wrong and where; empty when intact.
    """

    intact: bool
    entries: int
    head: Position
    oldest_revision: int
    problem: str = ""


async def verify(environment: Environment, expected_head: Position | None = None) -> Verification:
    """Fold the whole log again, check every digest, and compare the result with the state in memory.

    Args:
        environment: whose journal.
        expected_head: kept elsewhere (`head`); without it a truncated tail cannot be found.

    Raises:
        Unavailable: the store is away.
    """


def head(environment: Environment) -> Position:
    """Return the position to keep elsewhere."""
