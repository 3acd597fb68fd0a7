"""Real SDKs spread over servers on one real Redis: each server proves what all of them do, or says what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout_sdk import Client, Settings
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.app import peer
from rollout_server.app.instance import Certificate
from rollout_server.stores import KEY_FILE
from tests.doubles.tcp_proxy import TcpProxy
from tests.real_redis import RealRedis, own_redis
from tests.small_relay import USER, region_of, sdk_secret, until
from tests.small_server import (
    Person,
    ServerProcess,
    World,
    channel_to,
    document,
    flag,
    free_port,
    http_get,
    world,
)

pytestmark = pytest.mark.timeout(180)

STAGES = [{"name": "canary", "share": "50%", "soak": "1h"}, {"name": "most", "share": "90%", "soak": "1h"}]
LAUNCH = (
    document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
    document("Pipeline", "careful", {"stages": STAGES}),
    document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two beats, and whoever gave none is gone."""
    monkeypatch.setattr(peer, "GONE_AFTER_MS", 2_000)


@dataclass
class Replicas:
    """Two servers in this event loop, and processes.

    Attributes:
        houses: the servers.
    """

    home: Path
    redis: RealRedis
    houses: list[World] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    @property
    def secret(self) -> str:
        return sdk_secret(self.houses[0])

    async def client(self, target: str, service: str) -> Client:
        """A process that decides by rules."""
        about = {"token": self.secret, "service": service, "backoff_base_ms": 20, "backoff_max_ms": 100}
        client = await asyncio.to_thread(lambda: Client.of(Settings(target, **about)))  # type: ignore[arg-type]
        self.clients.append(client)
        assert await asyncio.to_thread(client.wait_until_ready, 60)
        return client

    def new_data(self, name: str) -> Path:
        """A data directory that may join."""
        data = self.home / name
        data.mkdir()
        if name != "a":
            (data / KEY_FILE).write_bytes((self.home / "a" / KEY_FILE).read_bytes())
            (data / KEY_FILE).chmod(0o600)
        return data


@asynccontextmanager
async def replicas(home: Path, count: int = 2) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(own_redis(appendfsync="everysec"))
        found = Replicas(home, redis)
        for name in "abc"[:count]:
            one = world(found.new_data(name), redis_url=redis.url(), http_listen="127.0.0.1:0")
            found.houses.append(await stack.enter_async_context(one))
        await found.houses[0].admin.apply(flag("a", "on"))
        yield found
        for client in found.clients:
            await asyncio.to_thread(client.close)


def head(house: World) -> int:
    return house.running.served["production"].environment.position.revision


def certificate(house: World, revision: int = 0) -> Certificate:
    """As this server says it."""
    return house.running.served["production"].fleet.certificate(revision or head(house))


def services(names: tuple[str, ...]) -> list[str]:
    return [name.partition("@")[0] for name in names]


async def proven(house: World, revision: int, *in_force: str) -> None:
    """Wait until this server proves that these obey, and that they are all."""
    await until(lambda: head(house) >= revision)

    def is_proven() -> bool:
        found = certificate(house, revision)
        return found.is_complete and services(found.in_force) == sorted(in_force)

    await until(is_proven)


async def asked(person: Person, target: str) -> pb.Certificate:
    answer = await person.stub.GetCertificate(pb.GetCertificateRequest(target=target), metadata=person.metadata)
    return answer.certificate


def rows(house: World) -> dict[str, tuple[bool, bool]]:
    """Each process by service: whether it is connected, and whether to this server."""
    known = house.running.served["production"].fleet.known()
    assert len({one.greeting.instance_id for one in known}) == len(known), "one row a process"
    return {one.greeting.service: (one.is_connected, not one.replica) for one in known}


async def test_a_kill_and_a_rollback_at_one_server_are_proven_at_each(tmp_path: Path) -> None:
    """By name, whichever server serves the process; lists and figures agree: the sum of all servers is everybody."""
    async with replicas(tmp_path) as around:
        a, b = around.houses
        for house, service in ((a, "one"), (a, "two"), (b, "three")):
            await around.client(house.running.address, service)
        await a.admin.apply(*LAUNCH)
        stub, metadata = b.admin.stub, a.admin.metadata
        await stub.StartRollout(pb.StartRolloutRequest(rollout="launch"), metadata=metadata)
        await stub.Rollback(pb.RollbackRequest(rollout="launch"), metadata=metadata)
        await b.admin.kill("a")
        for house in (a, b):
            await proven(house, head(b), "one", "three", "two")
            person = Person(house.channel, metadata)
            for target, what in (("launch", "rollback"), ("a", "kill")):
                proof = await asked(person, target)
                assert (proof.what, proof.complete, services(tuple(proof.in_force))) == (
                    what,
                    True,
                    ["one", "three", "two"],
                )
                assert 0 <= proof.first_ack_ms <= proof.last_ack_ms
            listed = await person.instances()
            assert {one.service: bool(one.replica) for one in listed} == (
                {"one": False, "two": False, "three": True}
                if house is a
                else {"one": True, "two": True, "three": False}
            )
            assert (await person.status()).instances_connected == 3
        told = [(await http_get(house.running.http_address, "/metrics"))[1].splitlines() for house in (a, b)]
        line = 'rollout_instances{environment="production",state="in_force"} '
        assert [line + "2.0" in told[0], line + "1.0" in told[1]] == [True, True]


async def test_a_process_that_moves_is_one_row(tmp_path: Path) -> None:
    """Also when the line to its first server broke without a word, and that one notices late."""
    async with replicas(tmp_path, 3) as around, AsyncExitStack() as stack:
        a, b, c = around.houses
        line = stack.enter_context(TcpProxy(a.running.address))
        await around.client(line.target, "moves")
        await until(lambda: rows(c) == {"moves": (True, False)} and rows(a) == {"moves": (True, True)})
        line.lead_to(b.running.address)
        line.cut()
        await until(lambda: rows(b) == {"moves": (True, True)})
        await until(lambda: rows(a) == rows(c) == {"moves": (True, False)})
        for house in around.houses:
            await proven(house, head(a), "moves")
        await a.admin.kill("a")
        for house in around.houses:
            await proven(house, head(a), "moves")


async def test_sigkill_of_a_server(tmp_path: Path) -> None:
    """Nothing is proven until its SDKs are back; a server that starts meanwhile misses them too."""
    async with replicas(tmp_path, 1) as around, AsyncExitStack() as stack:
        (a,) = around.houses
        options = {"redis_url": around.redis.url()}
        dying = ServerProcess(around.new_data("b"), free_port(), log_level="error", **options)
        await stack.enter_async_context(dying)
        await dying.start()
        channel = await stack.enter_async_context(channel_to(dying.address))
        await asyncio.wait_for(channel.channel_ready(), 60)
        line = stack.enter_context(TcpProxy(dying.address))
        await around.client(a.running.address, "stays")
        orphans = [await around.client(line.target, name) for name in ("orphan-1", "orphan-2")]
        await proven(a, head(a), "orphan-1", "orphan-2", "stays")
        line.is_hole = True
        await dying.end(kill=True)
        line.cut()
        await a.admin.kill("a")
        killed_at = head(a)
        assert not certificate(a, killed_at).is_complete
        await until(lambda: not certificate(a, killed_at).unheard)
        assert services(certificate(a, killed_at).unreachable) == ["orphan-1", "orphan-2"]
        late = await stack.enter_async_context(world(around.new_data("c"), redis_url=around.redis.url()))
        await until(lambda: not certificate(late, killed_at).unheard)
        assert services(certificate(late, killed_at).unreachable) == ["orphan-1", "orphan-2"]
        assert all(client.enabled("a", USER) for client in orphans), "they never heard of it"
        line.is_hole = False
        line.lead_to(late.running.address)
        for house in (a, late):
            await proven(house, killed_at, "orphan-1", "orphan-2", "stays")


async def test_a_server_that_is_restarted_loses_nobody(tmp_path: Path) -> None:
    """It says goodbye: nobody waits for it, its SDKs come back elsewhere, and those that ended are not missed."""
    async with replicas(tmp_path, 1) as around, AsyncExitStack() as stack:
        (a,) = around.houses
        draining = stack.enter_context(TcpProxy(a.running.address))
        async with world(around.new_data("b"), redis_url=around.redis.url()) as b:
            draining.lead_to(b.running.address)
            await around.client(draining.target, "moves")
            ends = await around.client(b.running.address, "ends")
            await proven(a, head(a), "ends", "moves")
            await asyncio.to_thread(ends.close)
            draining.lead_to(a.running.address)
        await proven(a, head(a), "moves")
        assert rows(a) == {"moves": (True, True)}
        await a.admin.kill("a")
        await proven(a, head(a), "moves")


async def test_a_relay_behind_one_server_is_whole_at_the_other(tmp_path: Path) -> None:
    async with replicas(tmp_path) as around:
        a, b = around.houses
        async with region_of(a, tmp_path / "relay") as region, region.relay() as relay:
            await region.ready(relay.address)
            await around.client(b.running.address, "near")
            await b.admin.kill("a")
            for house in (a, b):
                await proven(house, head(b), "near", "shop")
                (far,) = [name for name in certificate(house).in_force if name.startswith("shop")]
                assert far.endswith(" behind eu")
            region.cut()
            for house in (a, b):
                await until(lambda: services(certificate(house).unreachable) == ["shop"])  # noqa: B023 - awaited here
            region.mend()
            for house in (a, b):
                await proven(house, head(b), "near", "shop")


async def test_what_happens_to_redis_is_survived(tmp_path: Path) -> None:
    """Keys that are lost are told again; while it is away nothing is proven, and then all of it is, by itself."""
    async with replicas(tmp_path) as around:
        a, b = around.houses
        await around.client(a.running.address, "one")
        await around.client(b.running.address, "two")
        for house in (a, b):
            await proven(house, head(a), "one", "two")
        client = around.redis.client()
        lost = [key async for key in client.scan_iter("rollout:{production}:fleet*")]
        assert len(lost) == 3
        await client.delete(*lost)
        await client.aclose()
        async with world(around.new_data("c"), redis_url=around.redis.url()) as late:
            await proven(late, head(a), "one", "two")
        around.redis.kill()
        for house in (a, b):
            await until(lambda: not certificate(house).is_complete)  # noqa: B023 - awaited here
            assert certificate(house).unheard
        around.redis.start()
        await around.redis.ready()
        for house in (a, b):
            await proven(house, head(a), "one", "two")


async def test_a_server_alone_keeps_nothing_for_others(tmp_path: Path) -> None:
    """On SQLite there can be none: what it knows is all there is."""
    async with world(tmp_path) as house:
        served = house.running.served["production"]
        assert served.sharing is None
        assert served.fleet is served.instances
        assert certificate(house).is_complete
