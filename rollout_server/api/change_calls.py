"""The part of the control service that looks after changes that wait for approval. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_changes
from rollout_server.api import convert_control as convert
from rollout_server.api.control_base import ControlBase, written
from rollout_server.api.convert_plan import move, plan_summary
from rollout_server.app.approve_change import ApproveChange, approve_change
from rollout_server.app.changes import get_change, list_changes
from rollout_server.app.reject_change import RejectChange, reject_change

if TYPE_CHECKING:
    from rollout_sdk.wire.v1.control_pb2_grpc import _ServicerContext as Context


class ChangeCalls(ControlBase):
    """Names of methods and arguments are the contract's."""

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        """Changes that wait, or all that are kept."""
        environment = self._here().environment
        views = list_changes(environment, with_ended=request.all)
        return pb.ListChangesResponse(
            changes=[convert_changes.change(view) for view in views], position=write_position(environment.position)
        )

    async def GetChange(self, request: pb.GetChangeRequest, context: Context) -> pb.GetChangeResponse:
        """One change with its plan."""
        served = self._here()
        view, plan = await get_change(served.environment, request.number, served.fleet)
        return pb.GetChangeResponse(
            change=convert_changes.change(view),
            plan=plan_summary(plan.result).summary if plan else None,
            moves=[move(one) for one in plan.moves] if plan else (),
            position=write_position(served.environment.position),
        )

    async def ApproveChange(self, request: pb.ApproveChangeRequest, context: Context) -> pb.ApproveChangeResponse:
        """Consent, and apply where nobody else is asked."""
        served, actor = self._here(), self._actor()
        command = ApproveChange(request.number, convert.intent_of(request.intent))
        done = await approve_change(served.environment, command, actor, served.fleet)
        return pb.ApproveChangeResponse(
            change=convert_changes.change(done.change),
            entry=await written(served.environment, done.entry),
            position=write_position(done.position),
        )

    async def RejectChange(self, request: pb.RejectChangeRequest, context: Context) -> pb.RejectChangeResponse:
        """End a change without applying it."""
        environment, actor = self._here().environment, self._actor()
        done = await reject_change(environment, RejectChange(request.number, convert.intent_of(request.intent)), actor)
        return pb.RejectChangeResponse(
            change=convert_changes.change(done.change),
            entry=await written(environment, done.entry),
            position=write_position(done.position),
        )
