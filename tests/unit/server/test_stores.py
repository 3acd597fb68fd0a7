"""The settings choose the store, and a server on either one is the same server."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rollout_server.adapters.system_clock import SystemClock
from rollout_server.errors import InvalidInput, NotFound, Refused
from rollout_server.logs import configure
from rollout_server.stores import KEY_FILE, STORE_FILE, RedisStores, SqliteStores, is_in_use, open_stores
from tests.backup_world import Room
from tests.real_redis import SharedRedis, own_redis
from tests.small_server import Person, bearer, channel_to, flag, serving, settings


async def test_without_an_address_of_redis_files_are_used(tmp_path: Path) -> None:
    """The embedded default needs nothing else."""
    stores = await open_stores(settings(tmp_path), SystemClock())
    assert isinstance(stores, SqliteStores)
    assert (tmp_path / STORE_FILE).exists()
    surroundings = await stores.surroundings()
    assert (surroundings.is_durable, stores.durability) == (True, surroundings.durability)
    assert surroundings.disk_free_bytes is not None
    assert await stores.lease("production").acquire() == 1
    await stores.close()
    await stores.close()


async def test_a_directory_is_in_use_while_a_server_has_its_files_there(tmp_path: Path) -> None:
    """Neither before it is made nor after the server has let go of it."""
    data = tmp_path / "data"
    assert not is_in_use(data)
    stores = await open_stores(settings(data), SystemClock())
    assert is_in_use(data)
    await stores.close()
    assert not is_in_use(data)


async def test_two_servers_on_one_redis_are_one_service(redis: SharedRedis, tmp_path: Path) -> None:
    """What one of them writes the other serves; one holds the lease; both say how durable it is."""
    url = await redis.url()
    async with serving(tmp_path / "a", redis_url=url) as first:
        (tmp_path / "b").mkdir()
        shutil.copy(tmp_path / "a" / KEY_FILE, tmp_path / "b" / KEY_FILE)
        async with serving(tmp_path / "b", redis_url=url) as second:
            assert set(second.first_tokens) == set()
            token = await first.token("admin")
            async with channel_to(first.address) as here, channel_to(second.address) as there:
                written = await Person(here, bearer(token)).apply(flag("checkout"))
                environment = second.served["production"].environment
                await environment.wait_for(written.position.revision)
                flags = (await Person(there, bearer(token)).status()).flags
                assert [one.key for one in flags] == ["checkout"]
    assert not (tmp_path / "a" / STORE_FILE).exists()


async def test_a_server_with_another_key_is_refused_with_what_to_do(redis: SharedRedis, tmp_path: Path) -> None:
    """Its checkpoints would be forgeries to the others."""
    url = await redis.url()
    async with serving(tmp_path / "a", redis_url=url):
        with pytest.raises(Refused) as refusal:
            async with serving(tmp_path / "b", redis_url=url):
                pass
    assert refusal.value.rule == "server-key"
    assert "server-key" in refusal.value.hint


async def test_doctor_is_told_what_may_be_lost_as_it_is_now(tmp_path: Path) -> None:
    """Also what somebody set since the start, and a Redis that is away."""
    async with own_redis() as server:
        stores = await open_stores(settings(tmp_path, redis_url=server.url()), SystemClock())
        assert isinstance(stores, RedisStores)
        assert (await stores.surroundings()).is_durable
        client = server.client()
        await client.config_set("appendfsync", "everysec")
        await client.aclose()
        surroundings = await stores.surroundings()
        assert (surroundings.is_durable, "last second" in surroundings.durability) == (False, True)
        assert "everysec" not in stores.durability
        server.kill()
        surroundings = await stores.surroundings()
        assert (surroundings.is_durable, "does not answer" in surroundings.durability) == (False, True)
        await stores.close()


async def test_windows_keep_their_length_and_leases_the_term_of_the_settings(
    redis: SharedRedis, tmp_path: Path
) -> None:
    """One is data, the other a wish."""
    url = await redis.url()
    for window_ms in (10_000, 500):
        options = settings(tmp_path, redis_url=url, window_ms=window_ms, lease_ms=900)
        stores = await open_stores(options, SystemClock())
        assert (await stores.telemetry("production")).window_ms == 10_000
        assert stores.lease("production").term_ms == 750, "so that within 900 ms another one has taken it over"
        await stores.close()


@pytest.mark.parametrize("option", ["redis_wait_replicas", "redis_wait_ms", "redis_accept_data_loss"])
def test_settings_of_redis_mean_nothing_without_it(tmp_path: Path, option: str) -> None:
    """Somebody believes to be safe who is not: said at the start."""
    with pytest.raises(InvalidInput, match=f"{option} mean nothing without redis_url"):
        settings(tmp_path, **{option: "1"})


async def test_a_wrong_address_and_a_missing_backup_are_told_without_the_password(tmp_path: Path) -> None:
    """Before anything is served."""
    wrong = settings(tmp_path, redis_url="redis://:s3cret@a,b")
    assert "s3cret" not in repr(wrong)
    with pytest.raises(InvalidInput) as refusal:
        await open_stores(wrong, SystemClock())
    assert "s3cret" not in str(refusal.value)
    async with own_redis() as server:
        with pytest.raises(NotFound):
            await open_stores(settings(tmp_path, redis_url=server.url(), restore=tmp_path / "none.db"), SystemClock())
    with pytest.raises(NotFound):
        await open_stores(settings(tmp_path, restore=tmp_path / "none.db"), SystemClock())


async def test_a_restored_backup_is_told_with_what_is_not_in_it(redis: SharedRedis, tmp_path: Path) -> None:
    """In the log of the start: whose telemetry is there, which environments nobody asked for, what to do now."""
    room = Room(tmp_path, redis)
    async with room.opened("sqlite", "source") as stores:
        await stores.backup(tmp_path / "backup.db")
        await stores.journal("production").backup(tmp_path / "old.db")
    log = io.StringIO()
    configure("warning", log)
    said: list[dict[str, Any]] = []
    for kind, file in (("sqlite", "backup"), ("sqlite", "old"), ("redis", "backup"), ("redis", "old")):
        options = {"environments": "production", "restore": tmp_path / f"{file}.db"}
        async with room.opened(kind, f"{kind}-{file}", **options):
            said.append({line["event"]: line for line in map(json.loads, log.getvalue().splitlines())})
            log.truncate(log.seek(0))
    configure("error")
    for one in said:
        assert "restore" in one["a backup was restored: its history is a new epoch"]["hint"]
    without, more = "the backup holds no telemetry of these environments", "the backup holds more environments"
    assert [one.get(without, {}).get("environments") for one in said] == [None, ["production"], None, ["production"]]
    assert [one.get(more, {}).get("environments") for one in said] == [None, None, ["staging"], ["staging"]]
