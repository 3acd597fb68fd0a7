"""Compaction: what is older than the history that is kept."""

from __future__ import annotations

import asyncio
import contextlib

from rollout_server.app.audit import verify
from rollout_server.app.compact import DAY_MS, HISTORY_KEEP_MS, compact, keep_compact
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import flag, opened, put


class FlakyJournal(MemoryJournal):
    """Refuses the first compaction."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.refusals = 1
        self.is_compacted = asyncio.Event()

    async def compact(self, before_ms: int) -> int:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("journal", "away")
        self.is_compacted.set()
        return await super().compact(before_ms)


async def test_old_entries_go_and_the_chain_holds() -> None:
    """Entries older than what is kept are dropped; the state, the chain and what is younger stay."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    async with opened(journal, clock) as environment:
        await put(environment, flag("a"))
        clock.advance(HISTORY_KEEP_MS)
        await put(environment, flag("b"))
        assert await compact(environment) == 0
        clock.advance(1)
        assert await compact(environment) == 1
        assert await compact(environment) == 0
        state = environment.state
        assert (await verify(environment)).intact
        assert await journal.load() == state
        assert await compact(environment, keep_ms=-DAY_MS) == 1


async def test_the_periodic_task_survives_a_refusal() -> None:
    """A store that is away at one turn is tried at the next; one environment's refusal is not another's."""
    clock = FakeClock()
    flaky, other = FlakyJournal(clock), MemoryJournal("staging", clock)
    async with opened(flaky, clock) as one, opened(other, clock) as two:
        await put(one, flag("a"))
        await put(two, flag("a"))
        clock.advance(2 * DAY_MS)
        task = asyncio.create_task(keep_compact([one, two], keep_ms=DAY_MS, every_ms=1))
        await flaky.is_compacted.wait()
        assert (await other.checkpoint()).state.position.revision == 1
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
