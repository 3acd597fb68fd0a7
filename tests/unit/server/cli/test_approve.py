"""`rollout approve` and `rollout reject`."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.unit.server.cli.test_stored_changes import APPLIED, change


def test_an_approval_says_who_is_still_asked(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ApproveChange", pb.ApproveChangeResponse(change=change(), entry=pb.Entry(revision=42)))
    done = rollout("approve", "change/41", "--reason", "fine")
    assert done.code == 0
    assert "change/41: approved (revision 42); it is applied when the last approval is given" in done.out
    assert "still needs 1 of managers: ann" in done.out
    (request,) = control.requests("ApproveChange")
    assert (request.number, request.intent.reason) == (41, "fine")
    assert request.intent.idempotency_key


def test_the_last_one_says_what_it_did_and_how_to_undo_it(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ApproveChange", pb.ApproveChangeResponse(change=APPLIED, entry=pb.Entry(revision=57)))
    out = rollout("approve", "change/7").out
    assert "change/7: approved, and applied as revision 57" in out
    assert "undo: rollout revert 57" in out


def test_one_that_changed_nothing_says_so(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ApproveChange", pb.ApproveChangeResponse(change=change()), pb.ApproveChangeResponse(change=APPLIED))
    assert "you approved it before" in rollout("approve", "change/41").out
    assert "nobody is missing any more: it was applied as revision 57" in rollout("approve", "change/7").out


def test_a_rejection_says_that_nothing_was_applied(rollout: CommandLine, control: ScriptedControl) -> None:
    answer = change(state=pb.CHANGE_STATE_REJECTED, missing=[])
    control.on("RejectChange", pb.RejectChangeResponse(change=answer, entry=pb.Entry(revision=43)))
    done = rollout("reject", "change/41", "--reason", "not today")
    assert "change/41: rejected (revision 43); nothing was applied" in done.out
    assert control.requests("RejectChange")[0].intent.reason == "not today"
    control.on("RejectChange", pb.RejectChangeResponse(change=answer))
    assert "it was rejected before" in rollout("reject", "change/41").out


@pytest.mark.parametrize(("verb", "method"), [("approve", "ApproveChange"), ("reject", "RejectChange")])
def test_a_program_gets_the_change_and_the_entry(
    rollout: CommandLine, control: ScriptedControl, verb: str, method: str
) -> None:
    answer = {"ApproveChange": pb.ApproveChangeResponse, "RejectChange": pb.RejectChangeResponse}[method]
    control.on(method, answer(change=change(), entry=pb.Entry(revision=42)))
    data = rollout(verb, "change/41", "-o", "json").data
    assert (data["change"]["change"], data["entry"]["revision"]) == (41, 42)
    control.on(method, answer(change=change()))
    assert rollout(verb, "change/41", "-o", "json").data["entry"] is None


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_what_begins_like_a_change_and_is_none_is_a_mistake(rollout: CommandLine, verb: str) -> None:
    done = rollout(verb, "change/next")
    assert done.code == 2
    assert "rollout changes" in done.err
