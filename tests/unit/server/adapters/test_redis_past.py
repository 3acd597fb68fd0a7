"""The past as it was, and what was done to it behind the server's back."""

from __future__ import annotations

import json

import pytest

from rollout_server.adapters import redis_past
from rollout_server.adapters.redis_store import RedisStore
from rollout_server.domain.history import state_at
from rollout_server.errors import Corrupt
from tests.doubles.fake_clock import START_MS
from tests.journal_world import draft, flag, flag_id, redis_store
from tests.real_redis import SharedRedis

PREFIX = "rollout:{production}:"


async def written(redis: SharedRedis) -> RedisStore:
    """Nine entries over three flags, one of which was deleted in the end."""
    store = await redis_store(await redis.url())
    for n in range(8):
        await store.journal("production").commit(draft(flag(f"f{n % 3}", "on" if n % 2 else "off"), at_ms=START_MS + n))
    await store.journal("production").commit(draft(flag_id("f0"), at_ms=START_MS + 8))
    return store


async def test_a_long_log_is_read_in_pages(redis: SharedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page, every state and the whole verification are the same."""
    monkeypatch.setattr(redis_past, "LINES_AT_ONCE", 2)
    monkeypatch.setattr(redis_past, "NAMES_AT_ONCE", 1)
    store = await written(redis)
    journal = store.journal("production")
    checkpoint, entries = await journal.checkpoint(), await journal.entries(0, 100)
    for revision in range(10):
        assert await journal.state_at(revision=revision) == state_at(checkpoint, entries, revision=revision)
    found = await journal.verify((await journal.load()).position)
    assert (found.intact, found.entries) == (True, 9)
    await store.close()


@pytest.mark.parametrize(
    ("mischief", "words"),
    [
        (("XDEL", f"{PREFIX}log", "4-0"), "entry 5"),
        (("XTRIM", f"{PREFIX}log", "MINID", "3-0"), "entry 3"),
        (("HSET", f"{PREFIX}bodies", "Flag/f1", "{}"), "differs from what the log says"),
        (("HDEL", f"{PREFIX}bodies", "Flag/f1"), "not stored as current"),
        (("XDEL", f"{PREFIX}changes:Flag/f1", "2-0"), "index"),
        (("XADD", f"{PREFIX}changes:Flag/f2", "9-0", "r", ""), "index"),
        (("SREM", f"{PREFIX}names", "Flag/f0"), "index"),
        (("HSET", f"{PREFIX}meta", "revision", "8"), "ends at 8, and it ends at 9"),
        (("HSET", f"{PREFIX}checkpoint", "body", "{}", "signature", "x"), "not signed"),
    ],
)
async def test_tampering_is_found_and_placed(redis: SharedRedis, mischief: tuple[str, ...], words: str) -> None:
    """Dropped, cut, changed: verification says what and where."""
    store = await written(redis)
    await store.link.command(*mischief)
    found = await store.journal("production").verify(None)
    assert not found.intact
    assert words in found.problem
    await store.close()


async def test_a_changed_entry_is_found(redis: SharedRedis) -> None:
    """Its digest does not hold."""
    store = await written(redis)
    await forge(store, "5-0", lambda body: body.replace(b"mia@", b"tim@"))
    found = await store.journal("production").verify(None)
    assert (found.intact, "entry 5" in found.problem) == (False, True)
    await store.close()


async def test_a_forged_checkpoint_is_never_replayed_from(redis: SharedRedis) -> None:
    """State, checkpoint and compaction refuse it alike."""
    store = await written(redis)
    journal = store.journal("production")
    await journal.compact(START_MS + 3)
    body, signature = await store.link.command("HMGET", f"{PREFIX}checkpoint", "body", "signature")
    forged = json.dumps({**json.loads(body), "at_ms": 0}).encode()
    await store.link.command("HSET", f"{PREFIX}checkpoint", "body", forged, "signature", signature)
    for question in (journal.checkpoint, lambda: journal.state_at(revision=6), lambda: journal.compact(START_MS + 6)):
        with pytest.raises(Corrupt, match="not signed"):
            await question()
    await store.close()


async def forge(store: RedisStore, entry: str, change: object) -> None:
    """Streams cannot be edited: write the whole log again, with one body changed."""
    log = f"{PREFIX}log"
    lines = await store.link.command("XRANGE", log, "-", "+")
    await store.link.command("DEL", log)
    for name, fields in lines:
        if name == entry.encode():
            assert callable(change)
            fields[5] = change(fields[5])
        await store.link.command("XADD", log, name, *fields)
