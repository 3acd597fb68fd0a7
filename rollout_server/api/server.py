"""The gRPC server: its services, its limits and its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from rollout_sdk.wire.v1 import (
    control_pb2,
    control_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
    telemetry_pb2,
    telemetry_pb2_grpc,
)
from rollout_server.api.interceptors import MESSAGE_BYTES_MAX, Door
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from rollout_server.api.delivery import Delivery
    from rollout_server.api.tls import Certificates

_UNARY_ROOM = 2_000
"""Calls under way at once beyond the streams."""

KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
PING_EVERY_MIN_MS = 10_000
HANDSHAKE_MS = 20_000
PENDING_MAX = 20_000
AHEAD_BYTES = 256 * 1024

_OPTIONS = (
    # Its records of each connection would be read by nobody.
    ("grpc.enable_channelz", 0),
    # Two servers on one port would share its connections in silence.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # A peer that is gone without a word is found by pings; SDKs may ping every 30 s themselves.
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_EVERY_MIN_MS),
    # Else each acknowledgement of a process is answered by a ping that measures its line: a third of what a change to
    # 1,000 streams costs. What would be measured, how much a peer may send ahead of what is read, is said instead.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", AHEAD_BYTES),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    # Beyond these gRPC drops calls that wait for their turn. A storm of SDKs that come back at once is no attack: it
    # is let in, in order.
    ("grpc.server.max_pending_requests", PENDING_MAX),
    ("grpc.server.max_pending_requests_hard_limit", 2 * PENDING_MAX),
)

SERVICES = tuple(
    service.full_name
    for file in (control_pb2, delivery_pb2, telemetry_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)


SERVED_NAMES = ("", *SERVICES)
"""Whose health is told; the empty name stands for the whole server."""


class GrpcServer:
    """Everything that answers on the gRPC port."""

    def __init__(
        self,
        door: Door,
        control: control_pb2_grpc.ControlServiceServicer,
        delivery: Delivery,
        telemetry: telemetry_pb2_grpc.TelemetryServiceServicer,
        streams_max: int,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[door], options=_OPTIONS, maximum_concurrent_rpcs=streams_max + _UNARY_ROOM
        )
        self._health = _Health()
        control_pb2_grpc.add_ControlServiceServicer_to_server(control, self._server)
        delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(delivery, self._server)
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(telemetry, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), self._server
        )

    async def start(self, address: str, certificates: Certificates | None) -> int:
        """Open the port and answer; return its number.

        Args:
            address: "host:port"; port 0 takes a free one.
            certificates: None serves in plaintext.

        Raises:
            Unavailable: the port cannot be opened.
        """
        try:
            if certificates is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, certificates.credentials())
        except RuntimeError:
            raise _taken(address) from None
        if port == 0:
            raise _taken(address)
        await self._server.start()
        for name in SERVED_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and end those under way after this long at the latest."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


class _Health(health.HealthServicer):  # type: ignore[misc] # published without types
    """The library's servicer, with the method that it leaves out."""

    async def List(self, request: health_pb2.HealthListRequest, context: object) -> health_pb2.HealthListResponse:
        """Every service's health."""
        statuses = {
            name: await self.Check(health_pb2.HealthCheckRequest(service=name), context) for name in SERVED_NAMES
        }
        return health_pb2.HealthListResponse(statuses=statuses)


def _taken(address: str) -> Unavailable:
    return Unavailable(
        "port",
        f"the gRPC address {address} cannot be opened: another program holds it, or this machine does not have it",
        "stop the other program, or choose another address with --listen (ROLLOUT_LISTEN)",
    )
