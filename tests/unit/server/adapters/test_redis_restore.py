"""An empty Redis is filled from either store's backup, and no other is touched."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from rollout_server.adapters.redis_restore import fill
from rollout_server.adapters.redis_store import RedisOptions, RedisStore, open_redis
from rollout_server.domain.telemetry import RunCheckpoint
from rollout_server.errors import Corrupt, NotFound, Refused, RolloutError
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag, flag_id, redis_store, sqlite_store
from tests.real_redis import SharedRedis, free_port, own_redis
from tests.telemetry_world import RUN, intake


async def made(path: Path) -> Path:
    """A backup that SQLite wrote, with a checkpoint in it."""
    store = sqlite_store(path / "store.db", environments=("production", "staging"))
    journal = store.journal("production")
    await journal.commit(draft(flag("old"), at_ms=START_MS, idempotency_key="k", fingerprint="f"))
    await journal.commit(draft(flag("a"), flag("b"), at_ms=START_MS + 5))
    await journal.commit(draft(flag("a", "on"), flag_id("b"), at_ms=START_MS + 6, idempotency_key="l", fingerprint="g"))
    await journal.compact(START_MS + 5)
    await journal.backup(path / "backup.db")
    await store.close()
    return path / "backup.db"


async def test_what_sqlite_wrote_goes_on_in_redis(redis: SharedRedis, tmp_path: Path) -> None:
    """From one process to many: history, checkpoint and keys go along; the epoch is new, the file is left as it was."""
    source = await made(tmp_path)
    content = source.read_bytes()
    before = sqlite_store(tmp_path / "store.db").journal("production")
    store = await redis_store(await redis.url(), environments=("production",), restore=source)
    journal = store.journal("production")
    old, new = await before.load(), await journal.load()
    assert (new.resources, new.position.digest) == (old.resources, old.position.digest)
    assert new.position.epoch != old.position.epoch
    assert (await journal.verify(old.position)).intact
    for revision in (1, 2, 3):
        assert (await journal.state_at(revision=revision)).resources == (
            await before.state_at(revision=revision)
        ).resources
    for key, fingerprint in (("k", "f"), ("l", "g")):
        assert await journal.recall(key, fingerprint) == await before.recall(key, fingerprint)
    assert (await journal.commit(draft(flag("c")))).revision == 4
    assert source.read_bytes() == content
    await store.close()
    await before.close()


async def test_nothing_is_overwritten(redis: SharedRedis, tmp_path: Path) -> None:
    """A restore into a Redis that is in use is a mistake."""
    source, url = await made(tmp_path), await redis.url()
    store = await redis_store(url)
    await store.journal("production").commit(draft(flag("mine")))
    with pytest.raises(Refused) as refusal:
        await redis_store(url, restore=source)
    assert refusal.value.rule == "store-not-empty"
    assert list((await store.journal("production").load()).resources) == [flag_id("mine")]
    await store.close()


@pytest.mark.parametrize(
    ("name", "environments", "key", "kind"),
    [
        ("missing.db", ("production",), KEY, NotFound),
        ("backup.db", ("moon",), KEY, NotFound),
        ("backup.db", ("production",), KEY[::-1], Corrupt),
        ("torn.db", ("production",), KEY, Corrupt),
    ],
)
async def test_a_backup_that_cannot_be_used_leaves_redis_empty(
    redis: SharedRedis, tmp_path: Path, name: str, environments: tuple[str, ...], key: bytes, kind: type[RolloutError]
) -> None:
    """No such file, nothing of these environments in it, signed with another key, cut short: said before any write."""
    source = await made(tmp_path)
    (tmp_path / "torn.db").write_bytes(source.read_bytes()[:5_000])
    url = await redis.url()
    with pytest.raises(kind) as refusal:
        await open_redis(RedisOptions(url, restore=tmp_path / name), environments, key=key, clock=FakeClock())
    assert refusal.value.hint
    client = redis.server.client(int(url.rpartition("=")[2]))
    assert await client.dbsize() == 0
    await client.aclose()


async def test_one_restore_at_a_time_and_no_server_amid_it(redis: SharedRedis, tmp_path: Path) -> None:
    """Of servers that start with the same setting, or start meanwhile, one fills it; the others are refused."""
    source, url = await made(tmp_path), await redis.url()
    both = ("production", "staging")
    found = await asyncio.gather(
        *(redis_store(url, environments=both, restore=source) for _ in range(3)), return_exceptions=True
    )
    stores = [each for each in found if isinstance(each, RedisStore)]
    refused = [each for each in found if isinstance(each, Refused)]
    assert (len(stores), len(refused)) == (1, 2)
    assert {each.rule for each in refused} <= {"store-restoring", "store-not-empty"}
    assert (await stores[0].journal("production").verify(None)).intact
    await stores[0].close()


async def test_a_restore_that_was_interrupted_is_not_served(redis: SharedRedis, tmp_path: Path) -> None:
    """Half a history looks like a whole one: until Redis is emptied every start says what happened."""
    source, url = await made(tmp_path), await redis.url()
    client = redis.server.client(int(url.rpartition("=")[2]))

    class Dies(Exception):
        pass

    async def dies(batch: object) -> None:
        assert batch
        raise Dies

    first = await redis_store(url, environments=("other",))
    first.link.commands = dies  # type: ignore[method-assign] # as a server that is killed on the way
    with pytest.raises(Dies):
        await fill(first.link, source, ["production", "staging"], KEY)
    await first.close()
    options: list[dict[str, Any]] = [{}, {"restore": source}]
    for more in options:
        with pytest.raises(Refused) as refusal:
            await redis_store(url, **more)
        assert refusal.value.rule == "store-restoring"
        assert "empty" in refusal.value.hint
    await client.flushdb()
    store = await redis_store(url, restore=source)
    assert (await store.journal("production").load()).position.revision == 3
    await store.close()
    await client.aclose()


async def test_sums_without_a_journal_are_not_overwritten(redis: SharedRedis, tmp_path: Path) -> None:
    """They are somebody's; and the claim of a restore that was refused is taken back."""
    source, url = await made(tmp_path), await redis.url()
    client = redis.server.client(int(url.rpartition("=")[2]))
    await client.hset("rollout:{staging}:telemetry", "window_ms", 5)
    with pytest.raises(Refused) as refusal:
        await redis_store(url, environments=("production", "staging"), restore=source)
    assert refusal.value.rule == "store-not-empty"
    assert await client.keys("*") == [b"rollout:{staging}:telemetry"]
    await client.aclose()


async def test_the_user_of_the_page_may_do_all_that_a_server_and_a_restore_do(tmp_path: Path) -> None:
    """What docs/redis.md says that a user of its own needs is enough: to restore, to serve, to back up."""
    page = (Path(__file__).parents[4] / "docs" / "redis.md").read_text(encoding="utf-8")
    words = " ".join(re.findall(r"`([^`]+)`", page.partition("A user of its own needs ")[2].partition("\n")[0])).split()
    assert "~rollout:*" in words
    source = await made(tmp_path)
    async with own_redis(port=free_port()) as server:
        client = server.client()
        await client.execute_command("ACL", "SETUSER", "guard", "on", ">s3cret", *words)  # type: ignore[no-untyped-call]
        url = f"redis://guard:s3cret@127.0.0.1:{server.port}/0"
        store = await redis_store(url, environments=("production", "staging"), restore=source)
        journal, lease = store.journal("production"), store.lease("production")
        token = await lease.acquire()
        assert token is not None
        await journal.commit(draft(flag("c"), at_ms=START_MS + 9, fence=token))
        telemetry = await store.telemetry("production", 1_000)
        await telemetry.commit(intake())
        await telemetry.keep(RunCheckpoint(RUN, token, {}, b"soak"))
        await telemetry.prune(1, [])
        await store.notes("production").save([], token)
        await journal.compact(START_MS + 6)
        assert (await journal.verify(None)).intact
        await journal.renew_epoch()
        await store.backup(tmp_path / "again.db")
        await lease.renew()
        await lease.release()
        await store.close()
        await client.aclose()
