"""Delivery: `Watch`, one stream for every process that runs an SDK.

A stream that is up to date is one coroutine that listens. When there is something to say, a second one is started for
as long as it takes: it leads the process to where the environment stands by then, and ends. So ten thousand silent
streams cost little more than gRPC's own share, and a slow reader only ever holds the one message it does not take. What
is said is written once for a revision, and is the same bytes for every stream that stands at the same place.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc
from rollout_server.api.calls import current_caller
from rollout_server.api.convert_delivery import acknowledgement_of, greeting_of
from rollout_server.api.speaking import Room, Stream
from rollout_server.app.tokens import is_standing
from rollout_server.errors import InvalidInput, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from rollout_server.api.metrics import Metrics
    from rollout_server.api.speaking import Context, Outlet, Pace


AnyRequest = TypeVar("AnyRequest", delivery_pb2.WatchRequest, delivery_pb2.RelayRequest)


class Delivery(delivery_pb2_grpc.DeliveryServiceServicer):
    """The delivery service. Nothing is said on any stream unless `keep_speaking` runs."""

    def __init__(self, served: Mapping[str, Outlet], pace: Pace, metrics: Metrics) -> None:
        self._rooms = {name: Room(one, pace) for name, one in served.items()}
        self._pace = pace
        self._metrics = metrics

    async def keep_speaking(self) -> None:
        """Tell every stream what is new, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for room in self._rooms.values():
                group.create_task(room.keep_telling())
                group.create_task(room.keep_company())

    async def Watch(  # type: ignore[override] # it writes its messages itself, as bytes
        self, request_iterator: AsyncIterator[delivery_pb2.WatchRequest], context: Context
    ) -> None:
        """Lead one process to every revision, until either side ends it."""
        caller = current_caller()
        room = self._rooms[caller.environment.name]
        greeting = greeting_of((await first_message(request_iterator, self._pace)).hello)
        reset_reason = await room.served.fan_out.admit(greeting.held)
        token_id = caller.actor.token_id
        seat = room.served.instances.join(greeting, token_id)
        may_hear = partial(is_standing, caller.environment, token_id)
        stream = Stream(room, context, greeting.held, reset_reason, may_hear=may_hear)
        try:
            await self._lead(stream, self._listen(request_iterator, room.served, seat))
        finally:
            room.served.instances.disconnect(seat)

    async def Relay(  # type: ignore[override] # it answers with a refusal alone
        self, request_iterator: AsyncIterator[delivery_pb2.RelayRequest], context: Context
    ) -> None:
        """Refuse: there is no store here to follow. `api.relaying` has one."""
        raise Refused("relay", "this server is a relay, and relays do not follow each other", "follow its upstream")

    async def _lead(self, stream: Stream, listening: Coroutine[object, object, None]) -> None:
        """Speak on a stream for as long as its other side is listened to."""
        stream.room.enter(stream)
        try:
            await listening
        except asyncio.CancelledError:
            if not stream.is_ended:
                raise
            stream.answer()
        finally:
            stream.room.leave(stream)
            await stream.fall_silent()

    async def _listen(self, requests: AsyncIterator[delivery_pb2.WatchRequest], served: Outlet, seat: object) -> None:
        async for request in requests:
            match request.WhichOneof("message"):
                case "acknowledge":
                    lag_ms = served.instances.acknowledge(seat, acknowledgement_of(request.acknowledge))
                    if lag_ms >= 0:
                        self._metrics.acknowledged(served.name, lag_ms)
                case "goodbye":
                    served.instances.leave(seat)
                    return
                case "hello":
                    raise misspoken("second_hello", "a stream has one hello")
                case _:
                    continue  # a later release says more than this one understands


async def first_message(requests: AsyncIterator[AnyRequest], pace: Pace) -> AnyRequest:
    """Return the hello that a stream begins with.

    Raises:
        InvalidInput: it begins with something else.
        Unavailable: it says nothing for too long.
    """
    try:
        async with asyncio.timeout(pace.hello_within_ms / 1_000):
            first = await anext(requests, None)
    except TimeoutError:
        hint = "this client is too slow or no Rollout Guard SDK; it may come again"
        raise Unavailable("client", f"no hello within {pace.hello_within_ms} ms", hint) from None
    if first is None or first.WhichOneof("message") != "hello":
        raise InvalidInput([Problem("", "", "no_hello", "a stream begins with hello", "use an SDK of this release")])
    return first


def misspoken(code: str, message: str) -> InvalidInput:
    """Return the refusal of a client that does not speak as it should."""
    return InvalidInput([Problem("", "", code, message, "use an SDK of this release, or speak as delivery.proto says")])
