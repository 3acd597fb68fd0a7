"""The promises of `ports.FencedNotes`, asked of every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.adapters.notes_file import NotesFile, OwnNotes
from rollout_server.adapters.redis_store import RedisStore
from rollout_server.errors import Conflict
from rollout_server.ports import FencedNotes
from tests.doubles.memory_notes import SharedNotes
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis

BOOK: Json = {"epoch": "e-1", "messages": [["held", None, 1.5, True]], "words": "über"}


@dataclass(frozen=True)
class Stand:
    """Notes, as two servers hold them; and the token of whoever holds the lease."""

    notes: FencedNotes
    beside: FencedNotes
    token: int


@pytest.fixture(params=["memory", "file", "redis"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    if request.param == "redis":
        store = await redis_store(await request.getfixturevalue("redis").url())
        token = await store.lease("production").acquire()
        assert token is not None
        yield Stand(store.notes("production"), store.notes("production"), token)
        await store.close()
        return
    shared = SharedNotes()
    files = [OwnNotes(NotesFile(tmp_path / "notes.json")) for _ in range(2)]
    notes, beside = (shared, shared) if request.param == "memory" else files
    yield Stand(notes, beside, 1)


async def test_before_anything_was_kept_there_is_nothing(stand: Stand) -> None:
    assert await stand.notes.load() is None


async def test_what_was_saved_last_is_read_by_everybody(stand: Stand) -> None:
    """By whoever saved it, and by whoever holds it next; a change is seen by those who had read before."""
    await stand.notes.save(BOOK, stand.token)
    assert await stand.notes.load() == BOOK
    assert await stand.beside.load() == BOOK
    await stand.notes.save(["less"], stand.token)
    assert await stand.beside.load() == ["less"]
    assert await stand.beside.load() == ["less"]


async def test_one_that_was_overtaken_writes_nothing_in_redis(redis: SharedRedis) -> None:
    """From the moment at which another one has the lease, before that one has noted anything."""
    store = await redis_store(await redis.url())
    before, after = await _two_holders(store)
    notes = store.notes("production")
    with pytest.raises(Conflict):
        await notes.save(["old"], before)
    assert await notes.load() is None
    await notes.save(["new"], after)
    with pytest.raises(Conflict):
        await notes.save(["old"], before)
    with pytest.raises(Conflict):
        await notes.save(["invented"], after + 1)
    assert await notes.load() == ["new"]
    await store.close()


async def _two_holders(store: RedisStore) -> tuple[int, int]:
    first, second = store.lease("production"), store.lease("production")
    before = await first.acquire()
    await first.release()
    after = await second.acquire()
    assert before is not None
    assert after is not None
    return before, after
