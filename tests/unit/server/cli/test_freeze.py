"""`rollout freeze` and `rollout thaw`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl

FREEZE = pb.Resource(document=pb.Document(kind="Freeze", key="lunch", json='{"kind": "Freeze"}'))
ENTRY = pb.Entry(revision=9, action="freeze")


def test_a_freeze_says_whom_it_holds_and_how_it_ends(rollout: CommandLine, control: ScriptedControl) -> None:
    """Lengths and tags as they are typed."""
    control.on("Freeze", pb.FreezeResponse(entry=ENTRY, freeze=FREEZE))
    outcome = rollout("freeze", "--for", "2h", "--tag", "web", "--except", "mia", "--stagger", "5m", "--reason", "x")
    assert outcome.out == "✔ nothing grows of flags tagged web for 2h (revision 9)\nundo: rollout thaw lunch\n"
    request = control.requests("Freeze")[0]
    assert (request.for_ms, request.stagger_ms, list(request.tags)) == (7_200_000, 300_000, ["web"])
    assert list(getattr(request, "except")) == ["mia"]
    assert "until it is thawed" in rollout("freeze", "--reason", "x").out
    assert rollout("freeze", "--for", "long").code == 2


def test_what_it_does_otherwise_than_one_may_think_is_said(rollout: CommandLine, control: ScriptedControl) -> None:
    """It is in force; who typed it may thaw it and try again."""
    warnings = ['holds flags tagged "wbe", and there is none; did you mean "web"?']
    control.on("Freeze", pb.FreezeResponse(entry=ENTRY, freeze=FREEZE, warnings=warnings))
    outcome = rollout("freeze", "--tag", "wbe", "--reason", "x")
    assert outcome.code == 0
    assert 'warning: it holds flags tagged "wbe", and there is none; did you mean "web"?\n' in outcome.err


def test_a_thaw_says_what_it_ended(rollout: CommandLine, control: ScriptedControl) -> None:
    """Or that it was over."""
    control.on("Thaw", pb.ThawResponse(entry=ENTRY, freeze=FREEZE), pb.ThawResponse(freeze=FREEZE))
    out = rollout("thaw", "lunch", "--reason", "x").out
    assert out == "✔ freeze lunch is over: its flags may grow (revision 9)\nundo: rollout revert 9\n"
    again = rollout("thaw", "lunch", "--reason", "x")
    assert again.out == "✔ freeze lunch was over already; nothing was written\n"
    assert rollout("thaw", "lunch", "--reason", "x", "-o", "json").data["entry"] is None
