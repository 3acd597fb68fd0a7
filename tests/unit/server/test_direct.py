"""A kill straight on the store is the kill of a server: one road into the journal."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import replace
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill
from rollout_server.direct import DirectKill, DirectlyKilled, kill_directly
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.errors import Conflict, InvalidInput, NotFound, Refused, Unavailable
from rollout_server.stores import STORE_FILE, open_stores
from tests.real_redis import SharedRedis, free_port, own_redis
from tests.small_server import Person, World, document, flag, settings, world

WANTED = DirectKill(Kill("checkout", Intent("", "it burns")), "", "production", "mia@example.com", "root")


async def directly(store: object, **more: object) -> DirectlyKilled:
    """As a command does, which has no event loop of its own."""
    return await asyncio.to_thread(kill_directly, replace(WANTED, store=str(store), **more))  # type: ignore[arg-type]


async def set_up(it: World) -> None:
    """Two flags that are rolled out, so that each can be killed on one of the roads."""
    for key in ("checkout", "search"):
        await it.admin.apply(
            document("Flag", key, {"rules": [{"id": "launch", "rollout": f"{key}-launch"}]}),
            document("Pipeline", "careful", {"stages": [{"name": "canary", "share": "10%", "soak": "1h"}]}),
            document("Rollout", f"{key}-launch", {"flag": key, "from": "off", "to": "on", "pipeline": "careful"}),
        )
        await start(it.admin, f"{key}-launch")


async def start(person: Person, rollout: str) -> None:
    await person.stub.StartRollout(pb.StartRolloutRequest(rollout=rollout), metadata=person.metadata)


@pytest.fixture(params=["sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """What `--direct` is given, and what a server on the same store is started with."""
    if request.param == "sqlite":
        return str(tmp_path / "data"), {}
    url = await request.getfixturevalue("redis").url()
    return url, {"redis_url": url}


async def test_it_writes_what_a_server_would(place: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """Killed, and the run ended as rolled back, in one entry; it says who, and that it was direct; the log holds."""
    store, options = place
    async with world(tmp_path / "data", **options) as it:
        await set_up(it)
        await it.admin.kill("search")
    done = await directly(store)
    assert done.killed.entry is not None
    assert done.told is not None
    assert (done.environment, done.off, done.version) == ("production", "off", done.killed.entry.revision)
    assert {change.id.key for change in done.told.changes} == {"checkout", "checkout-launch"}
    stores = await open_stores(settings(tmp_path / "data", **options), SystemClock())
    journal = stores.journal("production")
    state = await journal.load()
    by_server, direct = [
        next(one for one in await journal.history(ResourceId(Kind.FLAG, key), 0, 9) if one.action == "kill")
        for key in ("search", "checkout")
    ]
    assert direct == done.killed.entry
    assert (direct.actor, direct.reason) == ("mia@example.com (direct, as root)", "it burns")
    assert [change.id.kind for change in direct.changes] == [change.id.kind for change in by_server.changes]
    ended = []
    for key in ("search", "checkout"):
        status = state.resources[ResourceId(Kind.FLAG, key)].status
        run = state.resources[ResourceId(Kind.ROLLOUT, f"{key}-launch")].status
        assert isinstance(status, FlagStatus)
        assert isinstance(run, RolloutStatus)
        assert run.run is not None
        ended.append((status.killed, run.run.phase, [notice.kind for notice in run.run.notices]))
    assert ended[0] == ended[1]
    assert (await journal.verify(state.position)).intact
    await stores.close()


async def test_twice_is_once(place: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """The second time nothing is written; a repeat with its key is answered with the first entry."""
    store, options = place
    async with world(tmp_path / "data", **options) as it:
        await it.admin.apply(flag("checkout", "on"), flag("search", "on"))
    first = await directly(store, command=Kill("checkout", Intent("k-1")))
    again = await directly(store, command=Kill("checkout", Intent("k-1")))
    assert again.killed.entry == first.killed.entry
    third = await directly(store)
    assert (third.killed.entry, third.killed.unchanged, third.version) == (None, True, first.version)
    with pytest.raises(Conflict, match="k-1"):
        await directly(store, command=Kill("search", Intent("k-1")))


async def test_a_living_server_is_told_of_and_has_it(place: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """It needs no stop: it follows its store, whoever writes there."""
    store, options = place
    async with world(tmp_path / "data", **options) as it:
        await it.admin.apply(flag("checkout", "on"))
        done = await directly(store)
        environment = it.running.served["production"].environment
        await environment.wait_for(done.killed.position.revision)
        status = environment.state.resources[ResourceId(Kind.FLAG, "checkout")].status
        assert isinstance(status, FlagStatus)
        assert (done.is_served, status.killed) == (True, True)
        await it.admin.unkill("checkout")
    assert not (await directly(store)).is_served


async def test_what_is_not_there_is_not_made(place: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """Another environment, another flag: named, with those that there are."""
    store, options = place
    async with world(tmp_path / "data", **options) as it:
        await it.admin.apply(flag("checkout", "on"))
    with pytest.raises(NotFound) as refusal:
        await directly(store, environment="staging")
    assert refusal.value.hint.endswith("holds production")
    with pytest.raises(NotFound) as refusal:
        await directly(store, command=Kill("chekout"))
    assert "checkout" in refusal.value.hint
    with pytest.raises(NotFound):
        await directly(store, environment="staging")


async def test_no_store_is_made_either(tmp_path: Path, redis: SharedRedis) -> None:
    """A directory without one, and a Redis that somebody else uses."""
    with pytest.raises(NotFound, match=STORE_FILE):
        await directly(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    url = await redis.url()
    with pytest.raises(NotFound) as refusal:
        await directly(url)
    assert refusal.value.hint.endswith("holds none")
    client = redis.server.client(int(url.rpartition("=")[2]))
    assert await client.dbsize() == 0
    await client.aclose()


async def test_an_unsafe_redis_takes_it_and_that_is_said(tmp_path: Path) -> None:
    """A kill that may be lost is better than none; one that Redis cannot take at all is refused with the reason."""
    async with own_redis() as primary:
        async with world(tmp_path / "data", redis_url=primary.url()) as it:
            await it.admin.apply(flag("checkout", "on"))
        client = primary.client()
        await client.config_set("appendonly", "no")
        done = await directly(primary.url())
        assert done.killed.entry is not None
        assert any("append-only" in danger for danger in done.dangers)
        await client.replicaof("127.0.0.1", free_port())
        with pytest.raises(Refused) as refusal:
            await directly(primary.url())
        assert refusal.value.rule == "redis-replica"
        await client.aclose()


async def test_a_redis_that_is_away_is_said_at_once() -> None:
    """With its place, and nothing of a password."""
    with pytest.raises(Unavailable) as refusal:
        await directly(f"redis://:s3cret@127.0.0.1:{free_port()}")
    assert "127.0.0.1" in str(refusal.value)
    assert "s3cret" not in f"{refusal.value} {refusal.value.hint}"


async def test_the_settings_of_a_server_name_the_store(
    redis: SharedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables do; a directory that is named wins over them, and several environments want a choice."""
    url = await redis.url()
    monkeypatch.setenv("ROLLOUT_REDIS_URL", url)
    monkeypatch.setenv("ROLLOUT_REDIS_WAIT_MS", "500")
    async with world(tmp_path / "a") as it:
        await it.admin.apply(flag("checkout", "on"))
    assert (await directly("", environment="")).where.startswith("Redis at")
    with pytest.raises(NotFound, match=STORE_FILE):
        await directly(tmp_path / "a")
    monkeypatch.setenv("ROLLOUT_ENVIRONMENTS", "production,staging")
    with pytest.raises(InvalidInput, match="none is chosen"):
        await directly("", environment="")


async def test_somebody_answers_for_it(tmp_path: Path) -> None:
    """The user of the machine does where nobody is named; no name is refused before anything is opened."""
    async with world(tmp_path) as it:
        await it.admin.apply(flag("checkout", "on"))
    with pytest.raises(InvalidInput, match="answers for it"):
        await directly(tmp_path, person=" ")
    me = getpass.getuser()
    done = await directly(tmp_path, person=me, os_user=me)
    assert done.killed.entry is not None
    assert done.killed.entry.actor == f"{me} (direct)"
