"""Changes that wait for approval, on the wire."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api.convert_plan import demand
from rollout_server.domain.changes import ChangeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.app.changes import ChangeView

_STATES: Mapping[ChangeState, pb.ChangeState.ValueType] = MappingProxyType(
    {
        ChangeState.WAITING: pb.CHANGE_STATE_WAITING,
        ChangeState.APPLIED: pb.CHANGE_STATE_APPLIED,
        ChangeState.VOIDED: pb.CHANGE_STATE_VOIDED,
        ChangeState.REJECTED: pb.CHANGE_STATE_REJECTED,
        ChangeState.EXPIRED: pb.CHANGE_STATE_EXPIRED,
    }
)


def change(view: ChangeView) -> pb.Change:
    """Write a change as it stands."""
    spec, status = view.spec, view.status
    return pb.Change(
        number=view.number,
        state=_STATES[status.state],
        action=spec.action.value,
        author=spec.author,
        reason=spec.reason,
        summary=spec.summary,
        stored_at_ms=spec.stored_at_ms,
        expires_at_ms=spec.expires_at_ms,
        stored_revision=view.stored_revision,
        plan_hash=spec.plan_hash,
        demands=[demand(one) for one in spec.demands],
        approvals=[pb.Approval(person=one.person, at_ms=one.at_ms, reason=one.reason) for one in status.approvals],
        missing=[demand(one) for one in view.missing],
        ended_revision=view.ended_revision,
        ended_by=status.ended_by,
        because=status.because,
        reverts=spec.revision,
    )
