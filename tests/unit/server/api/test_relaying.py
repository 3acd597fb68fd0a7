"""Relays by the contract, spoken by hand: what they are told, in which order, and what they may not say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk.wire.relaying import Tokens, Told, Update, read_told, write_relay_hello
from rollout_sdk.wire.v1 import delivery_pb2 as pb
from tests.small_server import World, flag, world

METHOD = "/rollout.v1.DeliveryService/Relay"


class Line:
    """One relay's stream, message by message."""

    def __init__(self, house: World, secret: str) -> None:
        metadata = (("authorization", f"Bearer {secret}"),)
        self.call: Any = house.channel.stream_stream(METHOD)(metadata=metadata)

    async def next(self) -> Told:
        async with asyncio.timeout(20):
            told = read_told(await self.call.read())
        assert told is not None
        return told

    async def until(self, kind: type[Any]) -> Any:
        while not isinstance(told := await self.next(), kind):
            pass
        return told

    async def code(self) -> grpc.StatusCode:
        """Read to the end, and return how it ended."""
        async with asyncio.timeout(20):
            with suppress(grpc.aio.AioRpcError):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            code = await self.call.code()
        assert isinstance(code, grpc.StatusCode)
        return code


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as house:
        yield house


async def relay(house: World) -> Line:
    return Line(house, (await house.admin.token("relay")).secret)


async def test_tokens_come_before_what_they_let_in_to(house: World) -> None:
    """And again only when they changed, before the revision that changed them."""
    line = await relay(house)
    await line.call.write(write_relay_hello("eu", None))
    assert isinstance(await line.next(), Tokens)
    assert isinstance(await line.next(), Update)
    await house.admin.apply(flag("a"))
    assert isinstance(await line.next(), Update)
    made = await house.admin.token("sdk")
    tokens = await line.next()
    assert isinstance(tokens, Tokens)
    assert made.token.id in {one.id for one in tokens.tokens}
    await house.admin.revoke(made.token.id)
    tokens = await line.until(Tokens)
    assert made.token.id not in {one.id for one in tokens.tokens}
    line.call.cancel()


async def test_tokens_of_people_stay_at_home(house: World) -> None:
    """A relay that is broken into gives away no hash that opens more than a ruleset."""
    for role in ("viewer", "admin", "relay"):
        await house.admin.token(role)
    line = await relay(house)
    await line.call.write(write_relay_hello("eu", None))
    assert len((await line.until(Tokens)).tokens) == 1
    line.call.cancel()


@pytest.mark.parametrize(
    "message",
    [
        pb.RelayRequest(news=pb.RelayNews()).SerializeToString(),
        pb.RelayRequest(hello=pb.RelayHello()).SerializeToString(),
    ],
)
async def test_a_stream_begins_with_a_name(house: World, message: bytes) -> None:
    line = await relay(house)
    await line.call.write(message)
    assert await line.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_second_hello_ends_the_stream(house: World) -> None:
    line = await relay(house)
    for _ in range(2):
        await line.call.write(write_relay_hello("eu", None))
    assert await line.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_relay_whose_token_falls_is_cut(house: World) -> None:
    made = await house.admin.token("relay")
    line = Line(house, made.secret)
    await line.call.write(write_relay_hello("eu", None))
    await line.until(Update)
    await house.admin.revoke(made.token.id)
    assert await line.code() is grpc.StatusCode.PERMISSION_DENIED
