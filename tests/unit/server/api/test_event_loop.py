"""The server's loop: one turn for many of gRPC's wake-ups, and none of its events lost."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from rollout_server.api.event_loop import ServerLoop

EVENTS = 200


class PollerCompletionQueue:
    """gRPC's: an event goes into the queue, then a byte into the pair; who is called takes a byte, and every event."""

    def __init__(self) -> None:
        self.read, self._write = socket.socketpair()
        self._events: deque[int] = deque()
        self.taken: list[int] = []
        self.calls = 0
        self._called = asyncio.Event()

    def push(self, event: int) -> None:
        self._events.append(event)
        self._write.send(b"1")

    def handle(self, _loop: object) -> None:
        self.calls += 1
        self.read.recv(1)
        while self._events:
            self.taken.append(self._events.popleft())
        self._called.set()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.taken) < count:
                self._called.clear()
                await self._called.wait()

    def close(self) -> None:
        self.read.close()
        self._write.close()


def test_a_burst_of_events_is_taken_in_a_turn_or_two() -> None:
    """Two hundred streams that acknowledge cost a turn of the loop, and not two hundred."""
    queue = PollerCompletionQueue()

    async def take() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(queue.read, partial(queue.handle, loop))
        for event in range(EVENTS):
            queue.push(event)
        await queue.has(EVENTS)
        queue.push(EVENTS)  # a lone event afterwards is a call of its own
        await queue.has(EVENTS + 1)
        loop.remove_reader(queue.read)

    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        runner.run(take())
    queue.close()
    assert queue.taken == list(range(EVENTS + 1))
    assert queue.calls == 2


def test_other_sockets_are_read_as_ever() -> None:
    """Only what is known to empty a queue may be called less often than bytes come."""
    near, far = socket.socketpair()
    taken: list[bytes] = []

    async def take() -> None:
        loop = asyncio.get_running_loop()
        all_of_it = loop.create_future()

        def read() -> None:
            taken.append(near.recv(1))
            if len(taken) == 3:
                all_of_it.set_result(None)

        loop.add_reader(near, read)
        far.send(b"abc")
        await asyncio.wait_for(all_of_it, 30)
        loop.remove_reader(near)

    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        runner.run(take())
    near.close()
    far.close()
    assert taken == [b"a", b"b", b"c"]


class Counting(ServerLoop):
    """Counts what it takes together."""

    def __init__(self) -> None:
        self.together = 0
        super().__init__()

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        self.together += getattr(callback, "__name__", "") == "_take_all_but_one"
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc] # asyncio's own, without a type


def test_the_installed_grpc_is_known_and_loses_nothing() -> None:
    """A release of gRPC that names its queue otherwise would be as slow as before, and this says so."""
    loop = Counting()

    async def echo(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def talk() -> None:
        server = grpc.aio.server()
        handler: Any = grpc.stream_stream_rpc_method_handler(echo)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            said = [bytes([number]) for number in range(50)]
            dial: Any = channel.stream_stream("/echo/Echo")
            calls = [dial(iter(said)) for _ in range(20)]
            heard = await asyncio.gather(*([_all(call) for call in calls]))
        await server.stop(None)
        assert heard == [said] * 20

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(asyncio.wait_for(talk(), 30))
    assert loop.together >= 1


async def _all(call: Any) -> list[bytes]:
    return [message async for message in call]
