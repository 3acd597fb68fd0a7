"""A relay's door and its telemetry: reports go upstream, and whoever wants anything else is told where to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.v1 import control_pb2, control_pb2_grpc, telemetry_pb2, telemetry_pb2_grpc
from rollout_server.api.interceptors import Door, bearer_of
from rollout_server.domain.rights import is_open
from rollout_server.errors import Refused, Unavailable

if TYPE_CHECKING:
    from rollout_server.api.calls import Caller, Calls
    from rollout_server.api.interceptors import Metadata
    from rollout_server.api.metrics import Metrics
    from rollout_server.api.speaking import Context
    from rollout_server.app.pass_on_reports import PassOnReports
    from rollout_server.app.relayed import Relayed

_CONTROL = f"/{control_pb2.DESCRIPTOR.services_by_name['ControlService'].full_name}/"


class RelayDoor(Door):
    """Lets processes in, by the tokens that upstream named."""

    def __init__(self, relayed: Relayed, calls: Calls, metrics: Metrics, upstream: str) -> None:
        """Guard what is relayed.

        Args:
            relayed: what there is behind the door.
            calls: under way.
            metrics: count what comes.
            upstream: its address, for whoever has to go there.
        """
        super().__init__({relayed.name: relayed}, calls, metrics)
        self._relayed = relayed
        self._upstream = upstream

    def _admit(self, method: str, metadata: Metadata) -> Caller | None:
        """Send whoever wants control to where it is, whatever token they have: here nobody knows tokens of people."""
        if method.startswith(_CONTROL):
            raise Refused(
                "relay",
                f"this server is a relay: it serves SDKs, and takes no commands; those go to {self._upstream}",
                f"repeat it with --server {self._upstream} (ROLLOUT_SERVER)",
            )
        if not is_open(method) and not self._relayed.knows_tokens:
            told = "this relay has not heard from its upstream yet, and knows no token"
            raise Unavailable("upstream", told, "nothing is wrong with the client; it tries again by itself")
        return super()._admit(method, metadata)


class NoControl(control_pb2_grpc.ControlServiceServicer):
    """The control service of a relay: known by name, so that the door can say where it is."""


class Forwarding(telemetry_pb2_grpc.TelemetryServiceServicer):
    """The telemetry service of a relay."""

    def __init__(self, pass_on: PassOnReports) -> None:
        self._pass_on = pass_on

    async def Report(  # type: ignore[override] # its answer is upstream's, as bytes
        self, request: telemetry_pb2.ReportRequest, context: Context
    ) -> bytes:
        """Pass a report on under the token that it came with."""
        return await self._pass_on.take(bearer_of(context), request.SerializeToString())
