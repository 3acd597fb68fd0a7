"""Compact: drop entries older than the history that is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.errors import RolloutError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.app.environment import Environment

DAY_MS = 86_400_000
HISTORY_KEEP_MS = 400 * DAY_MS
EVERY_MS = 3_600_000


async def compact(environment: Environment, keep_ms: int = HISTORY_KEEP_MS) -> int:
    """Drop entries older than `keep_ms`, keeping the chain verifiable; return how many were dropped.

    Raises:
        Corrupt: what would be dropped does not hold; nothing was dropped.
        Unavailable: the store is away.
    """
    return await environment.journal.compact(environment.clock.now_ms() - keep_ms)


async def keep_compact(
    environments: Iterable[Environment], keep_ms: int = HISTORY_KEEP_MS, every_ms: int = EVERY_MS
) -> None:
    """Compact every environment now and again, until cancelled; one that refuses is tried again at the next turn."""
    every = tuple(environments)
    while True:
        for environment in every:
            try:
                await compact(environment, keep_ms)
            except RolloutError as error:
                environment.report("compaction failed, to be tried again", error)
        await asyncio.sleep(every_ms / 1_000)
