"""A relay between real SDKs and a real server, over real gRPC, through cuts, restarts and kills."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk import Client, Settings
from rollout_sdk.wire.relaying import read_relay_file
from rollout_server.app import follow_upstream
from rollout_server.app.pass_on_reports import PassOnReports
from rollout_server.domain.machine import Phase
from rollout_server.main import Running
from rollout_server.relay import start_relay
from tests.e2e.test_telemetry import LAUNCH, Child, child, launched, set_run, total
from tests.small_relay import USER, WAIT_S, Region, region_of, until
from tests.small_server import (
    Person,
    ServerProcess,
    World,
    admin_of,
    bearer,
    channel_to,
    flag,
    free_port,
    http_get,
    settings,
    world,
)

NAME = "shop@"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that dials again within a tenth of a second."""
    monkeypatch.setattr(follow_upstream, "RETURN_WITHIN_MAX_MS", 100)


@asynccontextmanager
async def far_away(tmp_path: Path, **options: Any) -> AsyncIterator[Region]:
    """A server with one flag that is on, and a region of it."""
    async with world(tmp_path / "server", **options) as house:
        await house.admin.apply(flag("a", "on"))
        async with region_of(house, tmp_path / "relay") as region:
            yield region


def is_on(client: Client) -> bool:
    return client.enabled("a", USER)


def others(region: Region) -> int:
    """Processes that the server counts, and that do not have its revision in force."""
    found = region.certificate()
    return len((*found.quarantined, *found.straggling, *found.unreachable)) + found.forgotten


def head(region: Region) -> int:
    """The server's present revision."""
    return region.house.running.served["production"].environment.position.revision


def kept_revision(region: Region) -> int:
    """The revision that the relay would serve if it started again now."""
    kept = region.data / "relay-production"
    return read_relay_file(kept.read_bytes())[0].position.revision if kept.exists() else 0


async def certified(region: Region, count: int) -> None:
    """Wait for a certificate that names so many processes, all of them behind the relay, and is complete."""
    await until(lambda: region.certificate().is_complete and len(region.certificate().in_force) == count)
    names = region.certificate().in_force
    assert all(name.startswith(NAME) and name.endswith(" behind eu") for name in names), names


async def test_a_change_and_a_kill_pass_a_relay_and_are_certified(tmp_path: Path) -> None:
    """The certificate names every process behind the relay, and is whole when all of them obey."""
    async with far_away(tmp_path) as region, region.relay() as relay:
        clients = [await region.ready(relay.address) for _ in range(3)]
        assert all(map(is_on, clients))
        await certified(region, 3)
        await region.house.admin.apply(flag("a", "off"))
        await until(lambda: not any(map(is_on, clients)))
        await certified(region, 3)
        await region.house.admin.apply(flag("a", "on"))
        await region.house.admin.kill("a")
        await until(lambda: all(client.decide("a", USER).reason.value == "killed" for client in clients))
        await certified(region, 3)
        await asyncio.to_thread(clients[0].close)
        await certified(region, 2)


async def test_a_rollback_passes_a_relay(tmp_path: Path) -> None:
    """The state of a rollout is a record like any other."""
    async with (
        launched(tmp_path / "server") as house,
        region_of(house, tmp_path / "relay") as region,
        region.relay() as relay,
    ):
        client = await region.ready(relay.address)
        assert client.decide("checkout", USER).arm is not None
        await set_run(house, Phase.ROLLED_BACK, 2)
        await until(lambda: client.decide("checkout", USER).arm is None)
        assert not client.enabled("checkout", USER)
        await certified(region, 1)


async def test_a_relay_that_is_cut_off_serves_on_and_none_of_its_processes_is_in_force(tmp_path: Path) -> None:
    """Who was there goes on, who is new is served, who leaves is not missed; upstream counts them as unreachable."""
    async with far_away(tmp_path) as region, region.relay() as relay:
        stays, leaves = await region.ready(relay.address), await region.ready(relay.address)
        await certified(region, 2)
        region.cut()
        await until(lambda: len(region.certificate().unreachable) == 2)
        assert region.certificate().in_force == ()
        await region.house.admin.kill("a")
        newcomer = await region.ready(relay.address)
        assert is_on(stays)
        assert is_on(newcomer)
        assert not newcomer.decide("a", USER).stale
        await asyncio.to_thread(leaves.close)
        region.mend()
        await until(lambda: not is_on(stays) and not is_on(newcomer))
        await certified(region, 2)


async def test_a_process_that_dies_behind_a_relay_is_unreachable(tmp_path: Path) -> None:
    """A certificate is not whole while it may still run; and it is named once, whether or not its relay was away."""
    async with far_away(tmp_path) as region, region.relay() as relay, channel_to(relay.address) as channel:
        await until(lambda: relay.relayed.fan_out.held is not None)
        process = await World(region.house.running, channel, region.house.admin, region.house.sdk).process()
        await process.reach(1)
        await certified(region, 1)
        process.stream.cancel()
        await until(lambda: len(region.certificate().unreachable) == 1)
        region.cut()
        region.mend()
        await until(lambda: region.line.accepted > 1 and relay.relayed.is_following)
        assert len(region.certificate().unreachable) == 1


async def test_a_relay_that_restarts_while_upstream_is_away_serves_what_it_kept(tmp_path: Path) -> None:
    """Rules, kills and tokens come from its file; a token that it never heard of opens nothing."""
    here = f"127.0.0.1:{free_port()}"
    async with far_away(tmp_path) as region:
        async with region.relay(listen=here) as relay:
            stays = await region.ready(relay.address)
            await region.house.admin.apply(flag("b", "on"))
            await region.house.admin.kill("a")
            await certified(region, 1)
            await until(lambda: kept_revision(region) == head(region))
        region.cut()
        late = (await region.house.admin.token("sdk")).secret
        async with region.relay(listen=here, http_listen="127.0.0.1:0") as relay:
            assert await http_get(relay.http_address, "/readyz") == (200, "ready\n")
            client = await region.ready(relay.address)
            assert client.decide("a", USER).reason.value == "killed"
            assert client.enabled("b", USER)
            await until(lambda: stays.status().connected)
            assert (
                'rollout_upstream_reachable{environment="production"} 0.0'
                in (await http_get(relay.http_address, "/metrics"))[1]
            )
            stranger = await region.client(relay.address, late)
            assert not await asyncio.to_thread(stranger.wait_until_ready, 0.5)
            region.mend()
            assert await asyncio.to_thread(stranger.wait_until_ready, WAIT_S)
            await certified(region, 3)


async def test_without_upstream_and_without_a_file_nobody_comes_in(tmp_path: Path) -> None:
    """Deny by default: nothing is known of any token, and the relay says that it is not ready."""
    async with far_away(tmp_path) as region:
        region.cut()
        async with region.relay(http_listen="127.0.0.1:0") as relay:
            assert (await http_get(relay.http_address, "/readyz"))[0] == 503
            client = await region.client(relay.address)
            assert not await asyncio.to_thread(client.wait_until_ready, 0.3)
            region.mend()
            assert await asyncio.to_thread(client.wait_until_ready, WAIT_S)
            assert (await http_get(relay.http_address, "/readyz"))[0] == 200


async def test_a_new_epoch_passes_a_relay(tmp_path: Path) -> None:
    """Upstream comes back with an older history under a new name: SDKs behind the relay follow what survived."""
    async with far_away(tmp_path) as region, region.relay() as relay:
        client = await region.ready(relay.address)
        environment = region.house.running.served["production"].environment
        before = client.decide("a", USER).epoch
        await environment.journal.renew_epoch()
        await until(lambda: client.decide("a", USER).epoch != before)
        assert is_on(client)
        await region.house.admin.kill("a")
        await until(lambda: not is_on(client))
        await certified(region, 1)


async def test_an_upstream_that_restarts_with_files_of_yesterday(tmp_path: Path) -> None:
    """The relay is ahead of it: that is found out, the history is named anew, and SDKs follow what survived."""
    async with ServerProcess(tmp_path / "up", free_port(), log_level="error") as server:
        await server.start()
        async with channel_to(server.address) as channel:
            admin = await admin_of(tmp_path / "up", channel)
            await admin.apply(flag("a", "on"))
            relay_token, sdk_token = [(await admin.token(role)).secret for role in ("relay", "sdk")]
            await server.end(kill=False)
            shutil.copytree(tmp_path / "up", tmp_path / "yesterday")
            await server.start()
            about = {"upstream": server.address, "upstream_token": relay_token, "relay_name": "eu"}
            async with start_relay(settings(tmp_path / "relay", **about)) as relay:
                quick = Settings(relay.address, token=sdk_token, backoff_base_ms=20, backoff_max_ms=100)
                client = await asyncio.to_thread(lambda: Client.of(quick))
                assert await asyncio.to_thread(client.wait_until_ready, WAIT_S)
                admin = await admin_of(tmp_path / "up", channel)
                await admin.kill("a")
                await until(lambda: not is_on(client))
                before = client.decide("a", USER).epoch
                await server.end(kill=True)
                assert client.decide("a", USER).reason.value == "killed"
                shutil.rmtree(tmp_path / "up")
                shutil.copytree(tmp_path / "yesterday", tmp_path / "up")
                await server.start()
                await until(lambda: is_on(client))
                assert client.decide("a", USER).epoch != before
                await (await admin_of(tmp_path / "up", channel)).kill("a")
                await until(lambda: not is_on(client))
                await asyncio.to_thread(client.close)


async def test_a_revoked_token_is_cut_at_the_relay(tmp_path: Path) -> None:
    """Its streams end, and it opens nothing any more; others are not touched."""
    async with far_away(tmp_path) as region, region.relay() as relay, channel_to(relay.address) as channel:
        stays = await region.ready(relay.address)
        made = await region.house.admin.token("sdk")
        guest = World(region.house.running, channel, region.house.admin, bearer(made.secret))
        await until(lambda: any(one.id == made.token.id for one in relay.relayed.tokens.tokens))
        process = await guest.process()
        await process.reach(1)
        await region.house.admin.revoke(made.token.id)
        async with asyncio.timeout(WAIT_S):
            assert await process.ended() is grpc.StatusCode.PERMISSION_DENIED
            assert await refused(guest) is grpc.StatusCode.PERMISSION_DENIED
        assert stays.status().connected


async def refused(guest: World) -> grpc.StatusCode:
    """Open a stream, and return how it ended: while its hello is written, or after it."""
    try:
        process = await guest.process()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await process.ended()


async def test_commands_are_told_where_to_go(tmp_path: Path) -> None:
    """Whoever asks, with whatever token: a relay takes no commands, and says who does."""
    async with far_away(tmp_path) as region, region.relay() as relay, channel_to(relay.address) as channel:
        for metadata in (region.house.admin.metadata, ()):
            error = await refusal_of(Person(channel, metadata))
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert region.line.target in (error.details() or "")


async def refusal_of(person: Person) -> grpc.aio.AioRpcError:
    """Kill, and return why not; again where gRPC's client was refused before it had sent all, and lost the reason."""
    while True:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await person.kill("a")
        if caught.value.details() != "Internal error from Core":
            return caught.value


async def test_telemetry_counts_once_through_an_outage_of_upstream(tmp_path: Path) -> None:
    """What upstream did not acknowledge stays with its process; a repeat of what it did counts once.

    Nothing is judged meanwhile, so nothing comes too late.
    """
    program = """
    for number in range(NUMBER * 100, NUMBER * 100 + 60):
        work(number)
        if number % 10 == 0:
            client.flush(0.05)
    assert client.flush(45)
    say()
    client.close(30)
    """
    async with (
        launched(tmp_path / "server", tick_ms=60_000) as house,
        region_of(house, tmp_path / "relay") as region,
        region.relay() as relay,
    ):
        behind = World(_at(house.running, relay.address), house.channel, house.admin, house.sdk)
        await until(lambda: relay.relayed.is_following)
        children = [await child(behind, number, program) for number in range(2)]
        await until(lambda: relay.reports.passed > 0)
        for _ in range(3):
            await outage(region, relay.reports, children)
        told = await asyncio.gather(*(each.told() for each in children))
        errors = await total(house, "errors", LAUNCH)
        for arm in ("candidate", "control"):
            assert errors[arm].n == sum(each["n"][arm] for each in told)
            assert errors[arm].x == sum(each["x"][arm] for each in told)
        heard = await house.running.telemetry["production"].store.heard(0)
        assert len(heard) == 2, "each under its own name"
        await until(lambda: relay.reports.bytes_under_way == 0)


async def outage(region: Region, reports: PassOnReports, children: list[Child]) -> None:
    """Cut the line until a report could not pass, and mend it until one did."""
    put_off, passed = reports.put_off, reports.passed
    region.cut()
    await until(lambda: reports.put_off > put_off or all(map(is_done, children)))
    region.mend()
    await until(lambda: reports.passed > passed or all(map(is_done, children)))


def is_done(one: Child) -> bool:
    """Whether it has nothing more to report."""
    return one.process.returncode is not None


def _at(running: Running, address: str) -> Running:
    """The server, as it is reached by way of a relay."""
    return Running(**{**{name: getattr(running, name) for name in Running.__slots__}, "address": address})


async def test_sigkill_of_a_relay(tmp_path: Path) -> None:
    """Its processes are unreachable, not in force; started again while upstream is away, it serves what it had."""
    async with far_away(tmp_path) as region:
        options = {"upstream": region.line.target, "upstream_token": region.secret, "relay_name": "eu"}
        async with ServerProcess(region.data, free_port(), log_level="error", **options) as relay:
            await relay.start()
            client = await region.ready(relay.address)
            await certified(region, 1)
            await region.house.admin.kill("a")
            await until(lambda: not is_on(client))
            await certified(region, 1)
            await until(lambda: kept_revision(region) == head(region))
            await relay.end(kill=True)
            await until(lambda: len(region.certificate().unreachable) == 1)
            assert client.decide("a", USER).reason.value == "killed"
            region.cut()
            await relay.start()
            newcomer = await region.ready(relay.address)
            assert newcomer.decide("a", USER).reason.value == "killed"
            await until(lambda: client.status().connected)
            region.mend()
            await region.house.admin.unkill("a")
            await until(lambda: is_on(client) and is_on(newcomer))
            await certified(region, 2)
            code, said = await relay.end(kill=False)
            assert code == 0, said
