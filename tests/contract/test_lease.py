"""The promises of `ports.Lease`, asked of every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout_server.adapters.local_lease import LocalLease
from rollout_server.errors import Conflict
from rollout_server.ports import Journal, Lease
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.journal_world import draft, flag, redis_store, sqlite_store


@dataclass(frozen=True)
class Stand:
    """A journal, and as many holders of its lease as a test wants."""

    journal: Journal
    holder: Callable[[], Lease]
    clock: FakeClock


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    clock = FakeClock()
    if request.param == "redis":
        store = await redis_store(await request.getfixturevalue("redis").url(), clock)
        yield Stand(store.journal("production"), lambda: store.lease("production"), clock)
        await store.close()
        return
    journal = (
        sqlite_store(tmp_path / "store.db").journal("production") if request.param == "sqlite" else MemoryJournal()
    )
    yield Stand(journal, lambda: LocalLease(journal), clock)
    await journal.close()


async def take_over(stand: Stand, successor: Lease) -> int:
    """Whatever it takes until the successor holds it: where there is a term, the first holder stands still for one."""
    token = await successor.acquire()
    if token is None:
        stand.clock.advance(successor.term_ms)
        token = await successor.acquire()
    assert token is not None
    return token


async def test_a_token_is_above_every_one_before_it(stand: Stand) -> None:
    """The order of tokens is the order of holders."""
    tokens = []
    for _ in range(4):
        holder = stand.holder()
        tokens.append(await holder.acquire())
        await holder.release()
    assert None not in tokens
    assert tokens == sorted(set(tokens))  # type: ignore[type-var]


async def test_who_asks_again_is_given_the_same_token(stand: Stand) -> None:
    """Renewing or asking twice changes no hands."""
    holder = stand.holder()
    first = await holder.acquire()
    assert first is not None
    assert await holder.renew()
    assert await holder.acquire() == first


async def test_of_two_holders_only_the_last_one_writes(stand: Stand) -> None:
    """Both believe to hold it; the store knows better."""
    old, new = stand.holder(), stand.holder()
    before = await old.acquire()
    assert before is not None
    await stand.journal.commit(draft(flag("a"), fence=before))
    now = await take_over(stand, new)
    with pytest.raises(Conflict, match="lease"):
        await stand.journal.commit(draft(flag("b"), fence=before))
    await stand.journal.commit(draft(flag("c"), fence=now))
    assert not await old.renew()
    state = await stand.journal.load()
    assert sorted(name.key for name in state.resources) == ["a", "c"]


async def test_what_a_person_does_needs_no_lease(stand: Stand) -> None:
    """A rollback by hand is never stopped by who controls."""
    assert await stand.holder().acquire()
    assert (await stand.journal.commit(draft(flag("a")))).revision == 1


async def test_a_repeat_is_answered_whoever_holds_it(stand: Stand) -> None:
    """What was written under the old token is written, and a retry hears so."""
    old, new = stand.holder(), stand.holder()
    intent = draft(flag("a"), idempotency_key="k", fingerprint="f", fence=await old.acquire() or 0)
    first = await stand.journal.commit(intent)
    await take_over(stand, new)
    assert await stand.journal.commit(intent) == first


async def test_who_lets_go_need_not_be_waited_for(stand: Stand) -> None:
    """A clean stop hands over at once."""
    old, new = stand.holder(), stand.holder()
    before = await old.acquire()
    await old.release()
    after = await new.acquire()
    assert before is not None
    assert after is not None
    assert after > before
    assert not await old.renew()
    await old.release()  # and letting go of what one does not hold takes nothing from the other
    assert await new.renew()


async def test_an_invented_token_writes_nothing(stand: Stand) -> None:
    """Not only older ones are refused."""
    token = await stand.holder().acquire()
    assert token is not None
    with pytest.raises(Conflict, match="lease"):
        await stand.journal.commit(draft(flag("a"), fence=token + 1))
