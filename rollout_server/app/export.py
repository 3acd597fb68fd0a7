"""Export: the ruleset as a file for clients without a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_sdk.wire.codec import (
    record_of_cohort,
    record_of_flag,
    record_of_metric,
    record_of_rollout,
    record_of_state,
)
from rollout_sdk.wire.snapshot import pack
from rollout_server.domain.resources import Kind, ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sdk.engine.model import Chunk, Ruleset
    from rollout_sdk.wire.records import WireRecord
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import State


async def export(environment: Environment) -> bytes:
    """Return a snapshot file of the present ruleset; `Client.offline` reads it.

    It holds what SDKs receive and nothing else: no owners, no raw keys of cohorts, no tokens.
    """
    state = environment.state
    return await asyncio.to_thread(packed, environment.name, state, environment.ruleset, environment.clock.now_ms())


def packed(name: str, state: State, ruleset: Ruleset, now_ms: int) -> bytes:
    """Return the snapshot file of a ruleset, made of this state."""
    chunks: dict[bytes, Chunk] = {}
    for cohort in ruleset.cohorts.values():
        chunks.update((chunk.digest, chunk) for keys in (cohort.include, cohort.exclude) for chunk in keys.chunks)
    records = _records(state, ruleset)
    return pack(ruleset.position, records, chunks.values(), environment=name, saved_at_ms=now_ms)


def _records(state: State, ruleset: Ruleset) -> Iterator[WireRecord]:
    """A flag that is not killed needs no state: its absence says the same, here as in what streams send."""
    for key, cohort in sorted(ruleset.cohorts.items()):
        yield record_of_cohort(cohort, state.resources[ResourceId(Kind.COHORT, key)].version)
    for key, flag in sorted(ruleset.flags.items()):
        yield record_of_flag(flag, ruleset.versions[key])
        if ruleset.states[key].killed:
            yield record_of_state(ruleset.states[key], ruleset.versions[key])
    for key, rollout in sorted(ruleset.rollouts.items()):
        # The flag says whose buckets count, so a rollout is sent anew with it.
        version = max(state.resources[ResourceId(Kind.ROLLOUT, key)].version, ruleset.versions.get(rollout.flag, 0))
        yield record_of_rollout(rollout, version)
    for key, metric in sorted(ruleset.metrics.items()):
        yield record_of_metric(metric, state.resources[ResourceId(Kind.METRIC, key)].version)
