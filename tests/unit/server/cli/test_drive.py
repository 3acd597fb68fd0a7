"""The verbs of a release manager, as they are typed."""

from __future__ import annotations

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.drive import VERBS
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.rollout_scenes import got, launch, moved


def answering(control: ScriptedControl, word: str, answer: pb.Moved) -> str:
    call = VERBS[word].call
    control.on("GetRollout", *got(launch())).on(call, getattr(pb, f"{call}Response")(moved=answer))
    return call


@pytest.mark.parametrize("word", list(VERBS))
def test_every_verb_says_what_came_of_it_and_its_undo(
    rollout: CommandLine, control: ScriptedControl, word: str
) -> None:
    """The server's sentence, the revision, the command that takes it back."""
    call = answering(control, word, moved(launch()))
    outcome = rollout(word, "checkout", "--reason", "why not")
    assert outcome.code == 0, outcome.err
    assert outcome.err == "production · launch\n"
    assert outcome.out.startswith("✔ launch run 3 at quarter (25 %) has soaked 33m of 1h (revision 7)\n")
    assert ("undo: " in outcome.out) is bool(VERBS[word].undo)
    (request,) = control.requests(call)
    assert request.rollout == "rollout/launch"
    assert request.intent.reason == "why not"
    if VERBS[word].is_staged:
        assert request.expects == "quarter"


def test_what_changes_nothing_says_so(rollout: CommandLine, control: ScriptedControl) -> None:
    """No revision, no undo."""
    answering(control, "pause", moved(launch("paused"), entry=None))
    outcome = rollout("pause", "checkout")
    assert outcome.out.startswith("✔ it is so already; nothing was written: launch run 3")
    assert "undo" not in outcome.out


def test_promote_goes_where_it_is_told(rollout: CommandLine, control: ScriptedControl) -> None:
    """--to names the stage."""
    answering(control, "promote", moved(launch()))
    assert rollout("promote", "checkout", "--to", "full", "--reason", "x").code == 0
    assert control.requests("PromoteRollout")[0].to == "full"


def test_a_person_is_asked_why_but_not_for_ack(rollout: CommandLine, control: ScriptedControl) -> None:
    """Whoever looks after something at night types one word."""
    rollout.interactive = True
    answering(control, "ack", moved(launch()))
    assert rollout("ack", "checkout").code == 0
    assert control.requests("Acknowledge")[0].intent.reason == ""


def test_no_is_said_with_what_to_do(rollout: CommandLine, control: ScriptedControl) -> None:
    """The machine's own hint."""
    detail = pb.ErrorDetail(code="refused", hint="wait for the thaw")
    control.on("GetRollout", *got(launch()))
    control.on("StartRollout", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "a freeze is in force", detail))
    outcome = rollout("start", "checkout", "--reason", "x")
    assert outcome.code == 1
    assert "a freeze is in force" in outcome.err
    assert "next: wait for the thaw" in outcome.err


def test_data_is_for_programs(rollout: CommandLine, control: ScriptedControl) -> None:
    """The rollout and the entry; talk goes elsewhere."""
    answering(control, "start", moved(launch()))
    data = rollout("start", "checkout", "--reason", "x", "-o", "json").data
    assert data["rollout"]["stages"][0]["state"] == "done"
    assert data["rollout"]["end"] is None
    assert data["entry"]["revision"] == 7
