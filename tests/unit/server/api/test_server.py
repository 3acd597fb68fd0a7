"""The gRPC server: its health, its reflection and its port."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rollout_server.api.server import SERVED_NAMES, SERVICES
from rollout_server.errors import Unavailable
from tests.small_server import serving, world

SERVING = health_pb2.HealthCheckResponse.SERVING


async def test_health_is_told_for_the_server_and_each_service(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        stub = health_pb2_grpc.HealthStub(around.channel)
        for name in SERVED_NAMES:
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        listed = await stub.List(health_pb2.HealthListRequest())
        assert {name: one.status for name, one in listed.statuses.items()} == dict.fromkeys(SERVED_NAMES, SERVING)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nothing"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_tells_people_what_is_served(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        stub = reflection_pb2_grpc.ServerReflectionStub(around.channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answers = [answer async for answer in stub.ServerReflectionInfo(asked, metadata=around.admin.metadata)]
        assert {service.name for service in answers[0].list_services_response.service} > set(SERVICES)


async def test_a_port_is_never_shared_in_silence(tmp_path: Path) -> None:
    """Two servers on one port would take turns with the connections."""
    async with serving(tmp_path / "first") as running:
        with pytest.raises(Unavailable, match="cannot be opened") as caught:
            async with serving(tmp_path / "second", listen=running.address):
                pass
        assert "--listen" in caught.value.hint
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable):
        async with serving(tmp_path / "third", listen=f"127.0.0.1:{taken.getsockname()[1]}"):
            pass
