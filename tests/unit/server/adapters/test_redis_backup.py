"""A backup of Redis is a store of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rollout_server.errors import Refused
from tests.doubles.fake_clock import START_MS
from tests.journal_world import draft, flag, flag_id, redis_store, sqlite_store
from tests.real_redis import SharedRedis


async def test_it_is_served_without_redis(redis: SharedRedis, tmp_path: Path) -> None:
    """Every environment, its past, its checkpoint and its keys; under new epochs, and with the same digests."""
    store = await redis_store(await redis.url(), environments=("production", "staging"))
    intent = draft(flag("old"), at_ms=START_MS, idempotency_key="k", fingerprint="f")
    for name in ("production", "staging"):
        await store.journal(name).commit(intent)
        await store.journal(name).commit(draft(flag("a"), flag("b"), at_ms=START_MS + 5))
        await store.journal(name).commit(draft(flag("a", "on"), flag_id("b"), at_ms=START_MS + 6))
    await store.journal("production").compact(START_MS + 5)
    await store.journal("production").backup(tmp_path / "backup.db")
    copy = sqlite_store(tmp_path / "backup.db", environments=("production", "staging"))
    for name in ("production", "staging"):
        before, after = await store.journal(name).load(), await copy.journal(name).load()
        assert after.resources == before.resources
        assert after.position.digest == before.position.digest
        assert after.position.epoch != before.position.epoch
        assert (await copy.journal(name).verify(before.position)).intact
        assert await copy.journal(name).recall("k", "f") == await store.journal(name).recall("k", "f")
        assert await copy.journal(name).history(flag_id("a"), 0, 9) == await store.journal(name).history(
            flag_id("a"), 0, 9
        )
        assert (await copy.journal(name).commit(draft(flag("c")))).revision == 4
    await copy.close()
    await store.close()


async def test_it_is_one_moment_while_others_commit(redis: SharedRedis, tmp_path: Path) -> None:
    """Whatever is written meanwhile is in it whole, or not at all."""
    url = await redis.url()
    store, other = await redis_store(url), await redis_store(url)
    is_done = asyncio.Event()

    async def write() -> None:
        number = 0
        while not is_done.is_set():
            number += 1
            await other.journal("production").commit(draft(flag(f"f{number % 5}")))

    writing = asyncio.create_task(write())
    for number in range(5):
        await store.journal("production").backup(tmp_path / f"{number}.db")
        copy = sqlite_store(tmp_path / f"{number}.db")
        assert (await copy.journal("production").verify(None)).intact
        await copy.close()
    is_done.set()
    await writing
    await store.close()
    await other.close()


async def test_what_a_scan_tells_twice_is_in_it_once(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis does so with keys that are there while others expire."""
    store = await redis_store(await redis.url())
    journal = store.journal("production")
    await journal.commit(draft(flag("a"), at_ms=START_MS, idempotency_key="k", fingerprint="f"))
    ask = store.link.command

    async def again(*words: Any) -> Any:
        answer = await ask(*words)
        return [answer[0], answer[1] * 2] if words[0] == "SCAN" else answer

    monkeypatch.setattr(store.link, "command", again)
    await journal.backup(tmp_path / "backup.db")
    copy = sqlite_store(tmp_path / "backup.db")
    assert await copy.journal("production").recall("k", "f") == await journal.recall("k", "f") is not None
    await copy.close()
    await store.close()


async def test_a_store_in_use_is_not_overwritten(redis: SharedRedis, tmp_path: Path) -> None:
    """The name of the target was a mistake."""
    used = sqlite_store(tmp_path / "used.db")
    store = await redis_store(await redis.url())
    with pytest.raises(Refused):
        await store.journal("production").backup(tmp_path / "used.db")
    assert list(tmp_path.glob("rollout-backup-*")) == []  # noqa: ASYNC240 - a look at what was left behind
    await store.close()
    await used.close()
