"""Changes on the wire."""

from __future__ import annotations

from dataclasses import replace

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api.convert_changes import change
from rollout_server.app.changes import ChangeView
from rollout_server.domain.changes import ChangeAction, ChangeSpec, ChangeState, ChangeStatus, Demand, Given

DEMAND = Demand("managers", 2, ("kai", "ann"), ("policy/p asks",))
SPEC = ChangeSpec(ChangeAction.REVERT, "mia", "why", 1, 2, "hash", "1 updated: flag/a", (DEMAND,), revision=7)
VIEW = ChangeView(41, SPEC, ChangeStatus(approvals=(Given("kai", "a0000001", 3, "fine"),)), 40, 0, (DEMAND,))


def test_a_change_is_told_whole() -> None:
    """All that people ask of it; tokens that approved are nobody's business."""
    message = change(VIEW)
    assert message == pb.Change(
        number=41,
        state=pb.CHANGE_STATE_WAITING,
        action="revert",
        author="mia",
        reason="why",
        summary="1 updated: flag/a",
        stored_at_ms=1,
        expires_at_ms=2,
        stored_revision=40,
        plan_hash="hash",
        demands=[pb.Demand(group="managers", count=2, people=["kai", "ann"], because=["policy/p asks"])],
        approvals=[pb.Approval(person="kai", at_ms=3, reason="fine")],
        missing=[pb.Demand(group="managers", count=2, people=["kai", "ann"], because=["policy/p asks"])],
        reverts=7,
    )


def test_every_state_has_its_word() -> None:
    told = set()
    for state in ChangeState:
        message = change(replace(VIEW, status=ChangeStatus(state)))
        told.add(pb.ChangeState.Name(message.state))
    assert told == {f"CHANGE_STATE_{state.value.upper()}" for state in ChangeState}
