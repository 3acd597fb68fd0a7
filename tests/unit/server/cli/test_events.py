"""`rollout events`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl

STARTED = pb.Event(
    id="launch/1/1", revision=4, at_ms=NOW_MS - 60_000, rollout="launch", run=1, kind="started",
    sentence="launch run 1 started: canary at 1 %", actor="mia (a1b2c3d4)",
)  # fmt: skip


def test_newest_first_with_who_and_why(rollout: CommandLine, control: ScriptedControl) -> None:
    """A line each."""
    rollout.width = 120
    control.on("ListEvents", pb.ListEventsResponse(events=[STARTED]))
    outcome = rollout("events", "checkout")
    assert outcome.err == "production · checkout\n"
    assert "4  1m ago  launch run 1  started  mia  launch run 1 started: canary at 1 %" in outcome.out
    request = control.requests("ListEvents")[0]
    assert (request.rollout, request.limit, request.before_revision) == ("checkout", 20, 0)


def test_a_narrow_terminal_has_room_for_the_sentence(rollout: CommandLine, control: ScriptedControl) -> None:
    """It names the rollout itself."""
    control.on("ListEvents", pb.ListEventsResponse(events=[STARTED]))
    assert "  4  1m ago  started  launch run 1 started: canary at 1 %\n" in rollout("events").out


def test_wide_says_who_was_told(rollout: CommandLine, control: ScriptedControl) -> None:
    """And what became of it."""
    told = pb.Event()
    told.CopyFrom(STARTED)
    told.deliveries.extend(["pager: delivered", "team: retrying, no answer"])
    control.on("ListEvents", pb.ListEventsResponse(events=[told]))
    rollout.width = 240
    assert "pager: delivered; team: retrying, no answer" in rollout("events", "-o", "wide").out


def test_a_full_page_says_how_to_go_on(rollout: CommandLine, control: ScriptedControl) -> None:
    """Before the last one's revision."""
    control.on("ListEvents", pb.ListEventsResponse(events=[STARTED]))
    assert "rollout events --before 4" in rollout("events", "--limit", "1").err


def test_nothing_and_data(rollout: CommandLine, control: ScriptedControl) -> None:
    """A sentence for people, an empty list for programs."""
    control.on("ListEvents", pb.ListEventsResponse())
    assert rollout("events").out == "nothing happened to rollouts yet\n"
    assert rollout("events", "-o", "json").data["events"] == []
