"""Delivery: `Watch`, one stream for every process that runs an SDK.

Two sides of a stream share nothing but their instance: one listens, one speaks. The speaker remembers a position; what
it says is made once for a revision and written as the same bytes to every stream that stands at the same place.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc
from rollout_server.api.calls import current_caller
from rollout_server.api.convert_delivery import acknowledgement_of, bookmark, drain, greeting_of, reset, update
from rollout_server.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import grpc

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Greeting, Part
    from rollout_server.api.metrics import Metrics
    from rollout_server.app.fan_out import FanOut
    from rollout_server.app.served import Served

    Context = grpc.aio.ServicerContext[delivery_pb2.WatchRequest, bytes]

WRITE_WITHIN_S = 60.0
"""A reader that takes nothing for this long is cut; it comes back to a delta or a snapshot."""

ENCODED_BYTES_MAX = 64 * 1024 * 1024
"""Kept of one revision's messages for streams still to come."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When what is said; see the settings of the same names."""

    hello_within_ms: int
    bookmark_every_ms: int
    reconnect_within_ms: int


class Delivery(delivery_pb2_grpc.DeliveryServiceServicer):
    """The delivery service."""

    def __init__(self, served: Mapping[str, Served], pace: Pace, metrics: Metrics) -> None:
        self._served = served
        self._pace = pace
        self._metrics = metrics
        self._written = {name: _Written() for name in served}

    async def Watch(  # type: ignore[override] # it writes its messages itself, as bytes
        self, request_iterator: AsyncIterator[delivery_pb2.WatchRequest], context: Context
    ) -> None:
        """Lead one process to every revision, until either side ends it."""
        caller = current_caller()
        served = self._served[caller.environment.name]
        greeting = await self._greeting(request_iterator)
        reset_reason = await served.fan_out.admit(greeting.held)
        stream = served.instances.join(greeting, caller.actor.token_id)
        served.streams += 1
        sides = {
            asyncio.create_task(self._listen(request_iterator, served, stream)),
            asyncio.create_task(self._speak(context, served, greeting.held, reset_reason)),
        }
        try:
            ended, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in ended:
                side.result()
        finally:
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)
            served.streams -= 1
            served.instances.disconnect(stream)

    async def _greeting(self, requests: AsyncIterator[delivery_pb2.WatchRequest]) -> Greeting:
        try:
            async with asyncio.timeout(self._pace.hello_within_ms / 1_000):
                first = await anext(requests, None)
        except TimeoutError:
            hint = "this client is too slow or no Rollout Guard SDK; it may come again"
            raise Unavailable("client", f"no hello within {self._pace.hello_within_ms} ms", hint) from None
        if first is None or first.WhichOneof("message") != "hello":
            raise InvalidInput(
                [Problem("", "", "no_hello", "a stream begins with hello", "use an SDK of this release")]
            )
        return greeting_of(first.hello)

    async def _listen(self, requests: AsyncIterator[delivery_pb2.WatchRequest], served: Served, stream: object) -> None:
        async for request in requests:
            match request.WhichOneof("message"):
                case "acknowledge":
                    lag_ms = served.instances.acknowledge(stream, acknowledgement_of(request.acknowledge))
                    if lag_ms >= 0:
                        self._metrics.acknowledged(served.environment.name, lag_ms)
                case "goodbye":
                    served.instances.leave(stream)
                    return
                case "hello":
                    raise InvalidInput([Problem("", "", "second_hello", "a stream has one hello", "open another one")])
                case _:
                    continue  # a later release says more than this one understands

    async def _speak(self, context: Context, served: Served, held: Position | None, reset_reason: str) -> None:
        fan_out = served.fan_out
        written = self._written[served.environment.name]
        bookmark_every_s = self._pace.bookmark_every_ms / 1_000
        if reset_reason:
            await _write(context, reset(reset_reason))
        position = held if held is not None and not reset_reason else None
        is_silent = True
        while not fan_out.is_draining:
            position, said = await self._lead(context, fan_out, written, position)
            if is_silent and not said:
                await _write(context, bookmark(fan_out.position, fan_out.ruleset_digest))
            try:
                async with asyncio.timeout(bookmark_every_s):
                    await fan_out.moved_from(position)
                is_silent = False
            except TimeoutError:
                is_silent = True
        await _write(context, drain(self._pace.reconnect_within_ms))

    async def _lead(
        self, context: Context, fan_out: FanOut, written: _Written, position: Position | None
    ) -> tuple[Position, bool]:
        """Say all that leads from a position to the present one; return where the client stands then."""
        parts = fan_out.snapshot() if position is None else fan_out.parts_since(position)
        if parts is None:
            await _write(context, reset("the history became another one"))
            parts = fan_out.snapshot()
        for part in parts:
            await _write(context, written.bytes_of(part, fan_out))
        # A part's position, not the present one: more may have been committed while this was written.
        return (parts[-1].position if parts else fan_out.position), bool(parts)


class _Written:
    """The messages of one environment's present revision, each written once."""

    def __init__(self) -> None:
        self._position: Position | None = None
        self._messages: dict[
            int, tuple[Part, bytes]
        ] = {}  # the part is kept with it, so that its identity stays its own
        self._size_bytes = 0

    def bytes_of(self, part: Part, fan_out: FanOut) -> bytes:
        """Return the part as a message; a part of an earlier revision is written anew, and kept nowhere."""
        if self._position != fan_out.position:
            self._position, self._messages, self._size_bytes = fan_out.position, {}, 0
        known = self._messages.get(id(part))
        if known is not None:
            return known[1]
        mark = fan_out.mark(part.position.revision)
        message = update(part, mark.at_ms if mark else 0)
        if part.position == self._position and self._size_bytes + len(message) <= ENCODED_BYTES_MAX:
            self._messages[id(part)] = part, message
            self._size_bytes += len(message)
        return message


async def _write(context: Context, message: bytes) -> None:
    try:
        async with asyncio.timeout(WRITE_WITHIN_S):
            await context.write(message)
    except TimeoutError:
        hint = "it comes back by itself and is brought up to date"
        raise Unavailable("client", f"it read nothing for {WRITE_WITHIN_S:.0f} s", hint) from None
