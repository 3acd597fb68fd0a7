"""Telemetry: `Report`, by which every process says what it counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.v1 import telemetry_pb2, telemetry_pb2_grpc
from rollout_server.api.calls import current_caller
from rollout_server.api.convert_telemetry import report_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.app.ingest_telemetry import IngestTelemetry


class Telemetry(telemetry_pb2_grpc.TelemetryServiceServicer):
    """The telemetry service."""

    def __init__(self, ingest: Mapping[str, IngestTelemetry]) -> None:
        """Serve what takes the reports of each environment."""
        self._ingest = ingest

    async def Report(self, request: telemetry_pb2.ReportRequest, context: object) -> telemetry_pb2.ReportResponse:
        """Take a report; it is acknowledged once it is committed."""
        caller = current_caller()
        ingest = self._ingest[caller.environment.name]
        dropped = await ingest.take(caller.actor.token_id, report_of(request))
        return telemetry_pb2.ReportResponse(report_every_ms=ingest.report_every_ms(), dropped=dropped)
