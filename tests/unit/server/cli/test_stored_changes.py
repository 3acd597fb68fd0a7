"""`rollout changes`, `describe change/41`, and what `apply` and `revert` say that must wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import ruleset_pb2
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.stored_changes import number_of
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.doubles.plans import plan

HOUR_MS = 3_600_000
DEMAND = pb.Demand(
    group="managers", count=2, people=["kai", "ann"], because=["policy/p asks 2 of managers about each Flag: flag/cart"]
)


def change(number: int = 41, **said: Any) -> pb.Change:
    whole: dict[str, Any] = {
        "number": number,
        "state": pb.CHANGE_STATE_WAITING,
        "action": "apply",
        "author": "mia@example.com",
        "reason": "everybody is ready",
        "summary": "1 updated: flag/cart",
        "stored_at_ms": NOW_MS - HOUR_MS,
        "expires_at_ms": NOW_MS + 47 * HOUR_MS,
        "stored_revision": 40,
        "plan_hash": "f" * 64,
        "demands": [DEMAND],
        "missing": [pb.Demand(group="managers", count=1, people=["ann"])],
        "approvals": [pb.Approval(person="kai", at_ms=NOW_MS - 60_000, reason="fine")],
    }
    return pb.Change(**{**whole, **said})


APPLIED = change(
    7, state=pb.CHANGE_STATE_APPLIED, missing=[], ended_revision=57, ended_by="ann", reverts=12, action="revert"
)
VOIDED = change(
    6,
    state=pb.CHANGE_STATE_VOIDED,
    missing=[],
    ended_revision=50,
    ended_by="bob@example.com",
    because="kill changed flag/cart",
)


@pytest.fixture
def flags(tmp_path: Path) -> str:
    path = tmp_path / "flags.yaml"
    path.write_text("kind: Flag\nmetadata: {key: cart}\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("text", ["change/41", "changes/41", "Change/041"])
def test_a_change_is_named_by_its_number(text: str) -> None:
    assert number_of(text) == 41


@pytest.mark.parametrize("text", ["checkout", "flag/41", "41", "cohort/change"])
def test_all_else_names_something_else(text: str) -> None:
    assert number_of(text) is None


@pytest.mark.parametrize("text", ["change/", "change/x", "change/0", "change/-1", "change/4 1", "change/" + "9" * 20])
def test_what_begins_like_a_change_must_be_one(text: str) -> None:
    with pytest.raises(CommandFailed, match="names no change"):
        number_of(text)


def test_what_waits_is_listed_with_whom_it_waits_for(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListChanges", pb.ListChangesResponse(changes=[change()]))
    rollout.width = 160
    done = rollout("changes")
    assert done.code == 0
    row = next(line for line in done.out.splitlines() if "change/41" in line)
    for told in ("● waiting", "mia@example.com", "1h ago", "1 updated: flag/cart", "1 of managers; expires in 1d23h"):
        assert told in row
    assert control.requests("ListChanges") == [pb.ListChangesRequest()]
    assert "rollout describe change/41" in done.err


def test_what_ended_is_listed_with_how(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListChanges", pb.ListChangesResponse(changes=[APPLIED, VOIDED]))
    rollout.width = 200
    out = rollout("changes", "--all").out
    assert "✔ applied" in out
    assert "revert 12: 1 updated: flag/cart" in out
    assert "revision 57 by ann" in out
    assert "✘ voided" in out
    assert "revision 50 by bob@example.com, kill changed flag/cart" in out
    assert control.requests("ListChanges") == [pb.ListChangesRequest(all=True)]


def test_nothing_is_said_in_a_sentence(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListChanges", pb.ListChangesResponse())
    assert rollout("changes").out == "nothing waits for approval; older: rollout changes --all\n"
    assert rollout("changes", "--all").out == "no changes are kept\n"


def test_a_change_is_described_with_its_plan(rollout: CommandLine, control: ScriptedControl) -> None:
    """Who asked, who agreed, who must still, why anybody is asked, and what would happen."""
    summary = next(one.summary for one in plan() if one.HasField("summary"))
    control.on("GetChange", pb.GetChangeResponse(change=change(), plan=summary))
    rollout.width = 140
    done = rollout("describe", "change/41")
    assert done.code == 0
    for told in (
        "everybody is ready",
        "✔ kai, 1m ago: fine",
        "● still 1 of managers: ann",
        "policy/p asks 2 of managers about each Flag: flag/cart",
        "CHANGES",
        "flag/cart",
        "WHO MOVES",
    ):
        assert told in done.out
    assert "rollout approve change/41" in done.err
    data = rollout("describe", "change/41", "-o", "json").data
    assert (data["change"], data["state"], data["missing"][0]["people"]) == (41, "waiting", ["ann"])
    assert data["plan"]["hash"] == summary.hash


def test_a_plan_that_is_no_longer_kept_is_said_so(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetChange", pb.GetChangeResponse(change=APPLIED))
    done = rollout("describe", "change/7")
    assert "its plan is not shown" in done.out
    assert "rollout revert 57" in done.err
    assert rollout("describe", "change/7", "-o", "json").data["plan"] is None


def test_apply_that_must_wait_exits_6(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    """With the number, who may approve and what they type; nothing says that anything was applied."""
    control.on("Plan", plan()).on("Apply", pb.ApplyResponse(change=change()))
    done = rollout("apply", "-f", flags, "--yes")
    assert done.code == 6
    assert "nothing was applied: it waits for approval as change/41" in done.out
    assert "1 of managers: ann" in done.out
    assert "rollout approve change/41" in done.out
    assert "applied as" not in done.out
    data = rollout("apply", "-f", flags, "--yes", "-o", "json")
    assert data.code == 6
    assert (data.data["entry"], data.data["change"]["change"]) == (None, 41)


def test_a_repeated_apply_whose_change_was_applied_meanwhile_is_done(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Plan", plan()).on("Apply", pb.ApplyResponse(change=APPLIED))
    done = rollout("apply", "-f", flags, "--yes")
    assert done.code == 0
    assert "change/7 was applied as revision 57" in done.out


def test_a_repeated_apply_whose_change_ended_otherwise_says_how_to_ask_anew(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Plan", plan()).on("Apply", pb.ApplyResponse(change=VOIDED))
    done = rollout("apply", "-f", flags, "--yes", "--idempotency-key", "k")
    assert done.code == 1
    assert "its change/6 has ended (voided): revision 50 by bob@example.com, kill changed flag/cart" in done.err
    assert "repeat it without --idempotency-key" in done.err


def test_revert_that_must_wait_exits_6(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse()).on("Revert", pb.RevertResponse(change=change()))
    assert rollout("revert", "12", "--yes").code == 6
    assert rollout("revert", "12", "--yes", "-o", "json").data["change"]["state"] == "waiting"


def test_a_plan_says_who_must_approve(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    """Before anybody applies it."""
    answers = plan()
    for one in answers:
        if one.HasField("summary"):
            one.summary.approvals.append(DEMAND)
    control.on("Plan", answers)
    done = rollout("plan", flags)
    assert "● needs approval" in done.out
    assert "2 of managers: kai, ann" in done.out
    assert rollout("plan", flags, "-o", "json").data["approvals"][0]["group"] == "managers"


def test_status_counts_what_waits(rollout: CommandLine, control: ScriptedControl) -> None:
    answer = pb.GetStatusResponse(environment="production", position=ruleset_pb2.Position(revision=3))
    control.on("GetStatus", answer)
    assert "approval" not in rollout("status").out
    answer.changes_waiting = 2
    assert "● 2 changes wait for approval: rollout changes" in rollout("status").out
    assert rollout("status", "-o", "json").data["changes_waiting"] == 2
