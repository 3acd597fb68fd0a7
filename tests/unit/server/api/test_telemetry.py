"""The service, on a real server."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.v1 import telemetry_pb2 as pb
from rollout_sdk.wire.v1 import telemetry_pb2_grpc
from tests.small_server import world


async def test_reports_are_taken_from_processes_alone(tmp_path: Path) -> None:
    """The answer says how often to come; what cannot be read is refused for good; people report nothing."""
    async with world(tmp_path, report_every_ms=700) as house:
        stub = telemetry_pb2_grpc.TelemetryServiceStub(house.channel)
        answer = await stub.Report(pb.ReportRequest(instance_id="i", sequence=1), metadata=house.sdk)
        assert (answer.report_every_ms, answer.dropped) == (700, 0)
        assert len(await house.running.telemetry["production"].store.heard(0)) == 1
        for request, metadata, code in (
            (pb.ReportRequest(instance_id="i"), house.sdk, grpc.StatusCode.INVALID_ARGUMENT),
            (pb.ReportRequest(instance_id="i", sequence=2), house.admin.metadata, grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Report(request, metadata=metadata)
            assert refused.value.code() is code
