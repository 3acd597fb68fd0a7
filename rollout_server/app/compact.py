"""Compact: drop entries older than the history that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.app.environment import Environment

DAY_MS = 86_400_000
HISTORY_KEEP_MS = 400 * DAY_MS
EVERY_MS = 3_600_000


async def compact(environment: Environment, keep_ms: int = HISTORY_KEEP_MS) -> int:
    """Drop entries older than `keep_ms`, keeping the chain verifiable; return how many were dropped.

    Raises:
        Unavailable: the store is away.
    """


async def keep_compact(
    environments: Iterable[Environment], keep_ms: int = HISTORY_KEEP_MS, every_ms: int = EVERY_MS
) -> None:
    """Compact every environment now and again, until cancelled; a store that is away is tried at the next turn."""
