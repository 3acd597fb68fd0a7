"""Delivery where there is a store: processes come by `Watch`, relays with all of theirs by `Relay`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from rollout_sdk.wire.relaying import write_tokens
from rollout_server.api.calls import current_caller
from rollout_server.api.convert_relay import news_of, relay_of
from rollout_server.api.delivery import Delivery, first_message, misspoken
from rollout_server.api.speaking import Stream
from rollout_server.app.behind_relay import BehindRelay
from rollout_server.app.tokens import is_of_a_process, is_standing, tokens_of_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.relaying import Tokens
    from rollout_sdk.wire.v1 import delivery_pb2
    from rollout_server.api.metrics import Metrics
    from rollout_server.api.speaking import Context, Pace
    from rollout_server.app.environment import Environment
    from rollout_server.app.served import Served

_AT_ONCE = 500
"""Acknowledgements that are noted before other work gets its turn."""


class RelayingDelivery(Delivery):
    """The delivery service of a server that relays may follow."""

    def __init__(self, served: Mapping[str, Served], pace: Pace, metrics: Metrics) -> None:
        super().__init__(served, pace, metrics)
        self._served = served
        self._passes = {name: _Passes(one.environment) for name, one in served.items()}

    async def Relay(  # type: ignore[override] # it writes its messages itself, as bytes
        self, request_iterator: AsyncIterator[delivery_pb2.RelayRequest], context: Context
    ) -> None:
        """Lead one relay to every revision, and take note of its processes, until either side ends it."""
        caller = current_caller()
        served = self._served[caller.environment.name]
        environment = served.environment
        first = await first_message(request_iterator, self._pace)
        name, held = relay_of(first.hello)
        reset_reason = await served.fan_out.admit(held)
        behind = BehindRelay(
            name, served.instances, environment.clock, lambda token_id: is_of_a_process(environment, token_id)
        )
        room, teller = self._rooms[served.name], self._passes[served.name].teller()
        may_hear = partial(is_standing, environment, caller.actor.token_id)
        stream = Stream(room, context, held, reset_reason, teller, may_hear=may_hear)
        try:
            await self._lead(stream, self._note(request_iterator, behind, served.name))
        finally:
            behind.close()

    async def _note(
        self, requests: AsyncIterator[delivery_pb2.RelayRequest], behind: BehindRelay, environment: str
    ) -> None:
        async for request in requests:
            match request.WhichOneof("message"):
                case "news":
                    for number, lag_ms in enumerate(behind.take(news_of(request.news)), start=1):
                        self._metrics.acknowledged(environment, lag_ms)
                        if number % _AT_ONCE == 0:
                            await asyncio.sleep(0)
                case "hello":
                    raise misspoken("second_hello", "a stream has one hello")
                case _:
                    continue  # a later release says more than this one understands


class _Passes:
    """Who may come to relays of one environment, written once for all of them."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._position: Position | None = None
        self._tokens: Tokens | None = None
        self._message = b""

    def message(self) -> bytes:
        """Return what a relay has to know now: the same object for as long as that is the same."""
        if self._position != self._environment.position:
            self._position, tokens = self._environment.position, tokens_of_processes(self._environment)
            if tokens != self._tokens:
                self._tokens, self._message = tokens, write_tokens(tokens)
        return self._message

    def teller(self) -> Callable[[], bytes | None]:
        """Return what gives one stream each message once."""
        told = [b""]

        def news() -> bytes | None:
            message = self.message()
            if message is told[0]:
                return None
            told[0] = message
            return message

        return news
