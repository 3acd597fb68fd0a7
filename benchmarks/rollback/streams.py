"""One process full of Watch streams: each decodes what it is sent, acknowledges, and comes back as the SDK does.

What is left out of an SDK is compiling and deciding: a thousand of those belong on a thousand machines, not here.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from multiprocessing.connection import Connection
from typing import NamedTuple

import grpc

from rollout_sdk.backoff import redial_ms
from rollout_sdk.engine.model import Position, RolloutState
from rollout_sdk.settings import Settings
from rollout_sdk.wire.codec import decode_record
from rollout_sdk.wire.delivery import read_response, write_acknowledgement, write_greeting
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Greeting, Part, Reset
from rollout_sdk.wire.records import RecordKind
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc

BACKOFF_MAX_MS = Settings().backoff_max_ms
STEADY_AFTER_S = Settings().steady_after_ms / 1_000
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.enable_retries", 0),
)


class Obeyed(NamedTuple):
    """When a stream had a rollout back at `from`, and acknowledged it.

    Attributes:
        at: wall clock, seconds.
        dialled_at: when the connection on which it heard of it was dialled.
    """

    at: float
    dialled_at: float


class Streams:
    """Many streams on one event loop."""

    def __init__(self, address: str, token: str) -> None:
        """Know of nothing yet."""
        self.address = address
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.revisions: dict[str, int] = {}
        self.exposing: defaultdict[str, set[str]] = defaultdict(set)
        self.obeyed: defaultdict[str, dict[str, Obeyed]] = defaultdict(dict)
        self.victim: tuple[str, int] | None = None

    async def keep(self, name: str) -> None:
        """Hold one stream for ever, dialling again as `rollout_sdk.stream` does."""
        rng, held, attempt, within_ms = random.Random(), None, 0, Settings().backoff_base_ms
        while True:
            began = time.time()
            async with grpc.aio.insecure_channel(self.address, options=OPTIONS) as channel:
                held, said_ms = await self._converse(channel, name, held, began)
            within_ms = said_ms or within_ms
            attempt = 0 if time.time() - began >= STEADY_AFTER_S else attempt
            await asyncio.sleep(redial_ms(attempt, within_ms, BACKOFF_MAX_MS, rng) / 1_000)
            attempt += 1

    async def _converse(
        self, channel: grpc.aio.Channel, name: str, held: Position | None, dialled_at: float
    ) -> tuple[Position | None, int]:
        """Greet, and take what comes until the stream breaks; return what is held then."""
        within_ms = 0
        stream = delivery_pb2_grpc.DeliveryServiceStub(channel).Watch(metadata=self.metadata)
        about = ("1", ("rollout:1", "type:boolean", "law:1"), "bench", "loopback", os.getpid())
        try:
            await stream.write(write_greeting(Greeting(name, *about, held=held)))
            while isinstance(response := await stream.read(), delivery_pb2.WatchResponse):
                message = read_response(response)
                if isinstance(message, Reset):
                    held = None
                elif isinstance(message, Bookmark):
                    within_ms = message.reconnect_within_ms or within_ms
                elif isinstance(message, Part):
                    told = self._take(name, message)
                    if not message.more:
                        held = message.position
                        answer = Acknowledgement(held, message.ruleset_digest, ())
                        await stream.write(write_acknowledgement(answer))
                        self._note(name, held, told, dialled_at)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return held, within_ms

    def _take(self, name: str, part: Part) -> list[str]:
        """Put rollouts in force; return those that are back at `from`."""
        back = []
        for record in part.records:
            if record.kind != RecordKind.ROLLOUT:
                continue
            state = decode_record(record)
            if not isinstance(state, RolloutState):
                continue
            if state.reaches:
                self.exposing[state.rollout].add(name)
            elif name in self.exposing[state.rollout]:
                self.exposing[state.rollout].discard(name)
                back.append(state.rollout)
        return back

    def _note(self, name: str, held: Position, back: list[str], dialled_at: float) -> None:
        self.revisions[name] = held.revision
        now = time.time()
        for rollout in back:
            self.obeyed[rollout][name] = Obeyed(now, dialled_at)
            if self.victim is not None and self.victim[0] == rollout:
                os.kill(self.victim[1], signal.SIGKILL)
                self.victim = None


async def _serve(address: str, token: str, count: int, number: int, orders: Connection) -> None:
    streams, loop = Streams(address, token), asyncio.get_running_loop()
    tasks = [asyncio.create_task(streams.keep(f"stream-{number}-{at}")) for at in range(count)]
    while True:
        match await loop.run_in_executor(None, orders.recv):
            case ["exposing", str(rollout)]:
                orders.send(len(streams.exposing[rollout]))
            case ["obeyed", str(rollout)]:
                orders.send(list(streams.obeyed[rollout].values()))
            case ["connected"]:
                orders.send(len(streams.revisions))
            case ["kill", str(rollout), int(process)]:
                streams.victim = (rollout, process)
                orders.send(None)
            case _:
                break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def serve(address: str, token: str, count: int, number: int, orders: Connection) -> None:
    """Hold so many streams, and answer orders, until told to end: the body of a process."""
    asyncio.run(_serve(address, token, count, number, orders))
