"""`rollout revert`."""

from __future__ import annotations

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.doubles.plans import CHANGE

ENTRY = pb.Entry(revision=14, at_ms=NOW_MS - 60_000, actor="jo (rg_1)", action="apply", reason="more", changes=[CHANGE])
REVERTED = pb.RevertResponse(entry=pb.Entry(revision=15, action="revert", changes=[CHANGE]))


def test_it_shows_what_it_undoes_and_how_to_undo_that(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY])).on("Revert", REVERTED)
    outcome = rollout("revert", "14", "--reason", "too early")
    assert outcome.code == 0
    assert outcome.out.startswith("undoes: apply by jo, 1m ago: more\n~ flag/cart  update")
    assert outcome.out.endswith("✔ reverted as revision 15: 1 updated\nundo: rollout revert 15\n")
    (request,) = control.requests("Revert")
    assert (request.revision, request.intent.reason) == (14, "too early")
    assert control.requests("ListHistory")[0].before_revision == 15


def test_on_a_terminal_it_asks(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY])).on("Revert", REVERTED)
    rollout.interactive, rollout.answers = True, "n\n"
    assert rollout("revert", "14").code == 1
    assert not control.requests("Revert")
    assert rollout("revert", "14", "--yes").code == 0


def test_a_later_edit_in_the_way_is_a_conflict(rollout: CommandLine, control: ScriptedControl) -> None:
    detail = pb.ErrorDetail(code="conflict", hint="revert 16 first")
    control.on("ListHistory", pb.ListHistoryResponse()).on("Revert", Refusal(grpc.StatusCode.ABORTED, "moved", detail))
    outcome = rollout("revert", "14")
    assert outcome.code == 7
    assert "next: revert 16 first" in outcome.err


def test_nothing_to_undo_and_json(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY])).on("Revert", pb.RevertResponse(), REVERTED)
    assert "nothing changed" in rollout("revert", "14").out
    data = rollout("revert", "14", "-o", "json").data
    assert (data["reverted"], data["entry"]["revision"]) == (14, 15)


def test_a_revision_is_a_number(rollout: CommandLine) -> None:
    assert rollout("revert", "x").code == 2
    assert rollout("revert", "0").code == 2
