"""One address for several servers: whoever lives is reached, and a dead one ends its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rollout_server.cli.demo_front import Front
from tests.small_server import free_port


@pytest.fixture(autouse=True)
async def _all_end() -> AsyncIterator[None]:
    """Every connection that was taken has ended before the test does."""
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(20):
        while asyncio.all_tasks() - before - {asyncio.current_task()}:  # noqa: ASYNC110 - tasks of connections, unnamed
            await asyncio.sleep(0.001)


@asynccontextmanager
async def listening(front: Front) -> AsyncIterator[int]:
    async with await asyncio.start_server(front.take, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def answering(word: bytes) -> AsyncIterator[str]:
    """A server that answers each line with its own word before it, and whose end ends its connections."""
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while line := await reader.readline():
            writer.write(word + b" " + line)
        await end(writer)

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.close()


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def ask(port: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"who\n")
    return await reader.readline(), reader, writer


async def test_connections_take_turns_and_go_round_who_is_gone() -> None:
    """Both are used; when one ends, its connections end, and the next ones go to the other."""
    async with answering(b"b") as other:
        async with answering(b"a") as one, listening(Front([one, other])) as port:
            first, second = await ask(port), await ask(port)
            assert {first[0], second[0]} == {b"a who\n", b"b who\n"}
            front = Front([one, other])
        gone = first if first[0].startswith(b"a") else second
        assert await gone[1].read() == b""
        async with listening(front) as port:
            found = [await ask(port) for _ in range(3)]
            assert [said for said, _, _ in found] == [b"b who\n"] * 3
        for _, _, writer in (first, second, *found):
            await end(writer)


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_where_nobody_is_left_the_connection_ends(count: int) -> None:
    """At once, so that whoever dialled dials again."""
    async with listening(Front([f"127.0.0.1:{free_port()}" for _ in range(count)])) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        await end(writer)
