"""One process holds it, and its successor ends it."""

from __future__ import annotations

from rollout_server.adapters.local_lease import LocalLease
from tests.doubles.memory_journal import MemoryJournal


async def test_a_lease_that_was_lost_is_not_taken_back() -> None:
    """Two processes on one file do not take turns: the one that started last goes on."""
    journal = MemoryJournal()
    first, second = LocalLease(journal), LocalLease(journal)
    assert (await first.acquire(), await second.acquire()) == (1, 2)
    assert not await first.renew()
    assert await first.acquire() is None
    assert await second.renew()


async def test_it_has_no_term() -> None:
    """Nothing needs to renew it in time."""
    assert LocalLease(MemoryJournal()).term_ms == 0
