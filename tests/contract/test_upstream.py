"""What every upstream is, over gRPC to a real server and as the double that unit tests script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk.wire.messages import Greeting
from rollout_sdk.wire.relaying import Joined, News, Tokens, Update
from rollout_sdk.wire.v1 import telemetry_pb2
from rollout_server.adapters.grpc_upstream import GrpcUpstream, UpstreamAddress
from rollout_server.errors import Forbidden, InvalidInput, Unavailable
from rollout_server.ports import Upstream
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.small_relay import sdk_secret, until
from tests.small_server import World, flag, free_port, world

REPORT = telemetry_pb2.ReportRequest(instance_id="i-1", sequence=1).SerializeToString()


def reached(address: str, token: str) -> GrpcUpstream:
    return GrpcUpstream(UpstreamAddress(address, token, None, is_local=True))


async def say(*news: News) -> AsyncIterator[News]:
    """These, and then nothing more."""
    for piece in news:
        yield piece
    await asyncio.Event().wait()


async def first_of(upstream: Upstream, kind: type[Any], *news: News) -> Any:
    async with asyncio.timeout(20), aclosing(upstream.watch("eu", None, say(*news))) as told:  # type: ignore[type-var]
        async for message in told:
            if isinstance(message, kind):
                return message
    raise AssertionError("it said no such thing")


async def relay_of(house: World) -> GrpcUpstream:
    return reached(house.running.address, (await house.admin.token("relay")).secret)


async def test_a_server_tells_tokens_and_then_the_ruleset(tmp_path: Path) -> None:
    """And the double says whatever a test makes it say, in that order."""
    async with world(tmp_path) as house:
        await house.admin.apply(flag("a"))
        upstream = await relay_of(house)
        tokens = await first_of(upstream, Tokens)
        assert tokens.environment == "production"
        assert [one.id for one in tokens.tokens] == [sdk_secret(house).split("_")[1]], "of processes alone"
        update = await first_of(upstream, Update)
        assert update.part.snapshot
        assert update.committed_at_ms > 0
        await upstream.close()
        double = ScriptedUpstream()
        double.say(tokens, update)
        assert await first_of(double, Update) == update


async def test_news_arrive(tmp_path: Path) -> None:
    async with world(tmp_path) as house:
        served = house.running.served["production"]
        process = Joined(1, sdk_secret(house).split("_")[1], Greeting("i-1", "1", (), "web", "h", 7), 0)
        stranger = Joined(2, "00000000", Greeting("i-2", "1", (), "web", "h", 8), 0)
        upstream = await relay_of(house)
        async with aclosing(upstream.watch("eu", None, say(News((process, stranger))))) as told:  # type: ignore[type-var]
            await anext(told)
            await until(lambda: served.instances.connected == 1)
            assert [one.behind for one in served.instances.known()] == ["eu"]
        await until(lambda: served.instances.connected == 0)
        await upstream.close()


async def test_who_may_not_is_told(tmp_path: Path) -> None:
    """A process's token relays nothing, and a relay's token reports nothing."""
    async with world(tmp_path) as house:
        with pytest.raises(Forbidden):
            await first_of(reached(house.running.address, sdk_secret(house)), Tokens)
        upstream = await relay_of(house)
        await first_of(upstream, Tokens)
        with pytest.raises(Forbidden):
            await upstream.report((await house.admin.token("relay")).secret, REPORT)
        await upstream.close()


async def test_reports_are_answered(tmp_path: Path) -> None:
    """Taken, or refused where they cannot be read."""
    async with world(tmp_path) as house:
        upstream = await relay_of(house)
        with pytest.raises(Unavailable):
            await upstream.report(sdk_secret(house), REPORT)
        await first_of(upstream, Tokens)
        answer = telemetry_pb2.ReportResponse.FromString(await upstream.report(sdk_secret(house), REPORT))
        assert answer.report_every_ms > 0
        with pytest.raises(InvalidInput):
            await upstream.report(sdk_secret(house), telemetry_pb2.ReportRequest().SerializeToString())
        await upstream.close()
        with pytest.raises(Unavailable):
            await upstream.report(sdk_secret(house), REPORT)


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await first_of(reached(f"127.0.0.1:{free_port()}", "rg_x"), Tokens)
    double = ScriptedUpstream()
    double.say(Unavailable("upstream", "away"))
    with pytest.raises(Unavailable):
        await first_of(double, Tokens)
