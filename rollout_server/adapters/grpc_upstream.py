"""The server that a relay follows, over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.relaying import ADMITTED, read_told, write_news, write_relay_hello
from rollout_server.adapters.upstream_refusals import UpstreamTls, refusal
from rollout_server.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.relaying import News, Told
    from rollout_server.errors import RolloutError

RELAY = "/rollout.v1.DeliveryService/Relay"
REPORT = "/rollout.v1.TelemetryService/Report"
REPORT_WITHIN_S = 4.0
"""Shorter than processes wait for their answer, so that they hear why."""

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),  # else a channel inherits the backoff of an earlier one
)


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where upstream is, and how it is spoken to.

    Attributes:
        target: "host:port".
        token: of the relay; its role is `relay`.
        tls: None speaks plaintext.
        is_local: only this machine can be there, so no proxy is asked for the way.
    """

    target: str
    token: str = field(repr=False)
    tls: UpstreamTls | None
    is_local: bool


class GrpcUpstream:
    """Fulfils `ports.Upstream`. One connection for everything; each stream begins with a new one."""

    def __init__(self, address: UpstreamAddress) -> None:
        """Dial nothing yet."""
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def watch(self, name: str, held: Position | None, news: AsyncIterator[News]) -> AsyncIterator[Told]:
        """Open a stream on a new connection, and yield what comes."""
        await self.close()
        self._channel = self._dial()
        # Raw bytes both ways: what they say is for `wire` to know.
        call: Any = self._channel.stream_stream(RELAY)(
            metadata=_bearer(self._address.token), compression=grpc.Compression.Gzip
        )
        saying = asyncio.create_task(_say(call, write_relay_hello(name, held), news))
        try:
            while (data := await call.read()) is not grpc.aio.EOF:
                told = read_told(data)
                if told is not None:
                    yield told
            code, details = await call.code(), await call.details()
            raise self._refusal(code, details)
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error.code(), error.details()) from None
        except WireError as error:
            raise Corrupt("upstream", str(error), "are both servers of releases that go together?") from None
        finally:
            call.cancel()
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def report(self, secret: str, report: bytes) -> bytes:
        """Hand a report over."""
        if self._channel is None:
            raise Unavailable("upstream", f"{self._address.target} has not been reached yet")
        try:
            method: Any = self._channel.unary_unary(REPORT)
            answer: bytes = await method(report, timeout=REPORT_WITHIN_S, metadata=_bearer(secret))
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error.code(), error.details()) from None
        except grpc.aio.UsageError:  # the channel was closed before it
            raise Unavailable("upstream", f"{self._address.target} is being dialled again") from None
        except asyncio.CancelledError:  # closed under it, unless it is this task that is to end
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unavailable("upstream", f"{self._address.target} is being dialled again") from None
        return answer

    async def close(self) -> None:
        """Let go of the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _refusal(self, code: grpc.StatusCode, details: str | None) -> RolloutError:
        return refusal(code, details, self._address.target, self._address.tls)

    def _dial(self) -> grpc.aio.Channel:
        target, tls = self._address.target, self._address.tls
        options = (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if self._address.is_local else _OPTIONS
        if tls is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, tls.credentials(), options)


async def _say(call: Any, hello: bytes, news: AsyncIterator[News]) -> None:  # noqa: ANN401 - grpc's calls of bytes have no type
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # whoever reads hears why it ended
        # Whoever is refused while writing hears of an internal error, and not why. So the door is waited for.
        if ADMITTED not in list(await call.initial_metadata() or ()):
            return
        await call.write(hello)
        async for piece in news:
            await call.write(write_news(piece))


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
