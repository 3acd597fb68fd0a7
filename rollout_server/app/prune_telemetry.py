"""Keep the telemetry store small: sums that nobody reads any more go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rollout_server.domain.telemetry import RunId
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.app.ingest_telemetry import IngestTelemetry

KEEP_MS: Final = 8 * 86_400_000
"""A week to look back on, and longer than any report may be old."""
PRUNE_EVERY_S: Final = 3_600.0


async def prune_telemetry(ingest: IngestTelemetry) -> int:
    """Drop windows older than `KEEP_MS`, and runs that are over and have none left; return how many windows went.

    Raises:
        Unavailable: the store is away.
    """
    before = ingest.clock.window_at(max(0, ingest.clock.now_ms() - KEEP_MS))
    present = {RunId(key, state.run) for key, state in ingest.ruleset().rollouts.items()}
    return await ingest.store.prune(before, present)


async def keep_pruned(ingests: Iterable[IngestTelemetry]) -> None:
    """Prune every hour until cancelled; a store that is away is pruned the next time."""
    each = tuple(ingests)
    while True:
        await asyncio.sleep(PRUNE_EVERY_S)
        for ingest in each:
            try:
                await prune_telemetry(ingest)
            except Unavailable:
                continue
