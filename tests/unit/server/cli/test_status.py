"""`rollout status`: killed flags first, and the way back beside everything."""

from __future__ import annotations

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

KILL = pb.Entry(
    revision=14,
    at_ms=NOW_MS - 720_000,
    actor="mia@example.com (a1b2c3d4)",
    action="kill",
    reason="errors in cart",
    changes=[pb.ResourceChange(kind="Flag", key="new-cart", operation=pb.OPERATION_UPDATE)],
)
APPLY = pb.Entry(
    revision=13,
    at_ms=NOW_MS - 2_400_000,
    actor="jo@example.com (ffeeddcc)",
    action="apply",
    changes=[pb.ResourceChange(kind="Flag", key=f"f-{n}", operation=pb.OPERATION_UPDATE) for n in range(4)],
)
STATUS = pb.GetStatusResponse(
    environment="production",
    position=Position(epoch="e", revision=14, digest=b"\x01"),
    flags=[
        pb.FlagSummary(key="checkout-v2", serving="on to 25% of users by rule trial, else off", owner="payments"),
        pb.FlagSummary(
            key="new-cart", killed=True, serving="killed: off to everybody", expires="2026-01-01", expired=True
        ),
    ],
    recent=[KILL, APPLY],
    instances_connected=4,
    instances_behind=1,
)


def test_what_it_says_at_80_columns(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetStatus", STATUS).on("ListHistory", pb.ListHistoryResponse(entries=[KILL, APPLY]))
    outcome = rollout("status")
    assert outcome.code == 0
    assert outcome.err == "production · revision 14 · 4 SDKs connected, 1 behind\n"
    assert outcome.out == (
        "FLAG         STATUS     SERVES                        OWNER     EXPIRES\n"
        "new-cart     ✘ killed   off to everybody                        2026-01-01, over\n"
        "checkout-v2  ✔ serving  on to 25% of users by rule    payments\n"
        "                        trial, else off\n"
        "\n"
        "✘ new-cart was killed by mia@example.com 12m ago: errors in cart\n"
        "  undo: rollout unkill new-cart\n"
        "\n"
        "CHANGED IN THE LAST HOUR\n"
        "REV  WHEN     ACTION  BY               WHAT\n"
        " 14  12m ago  kill    mia@example.com  flag/new-cart\n"
        "                                       undo: rollout unkill new-cart\n"
        " 13  40m ago  apply   jo@example.com   flag/f-0, flag/f-1 and 2 more\n"
        "                                       undo: rollout revert 13\n"
    )


def test_steps_of_a_ramp_are_one_line(rollout: CommandLine, control: ScriptedControl) -> None:
    """Twenty of them would push what people did off the screen."""
    ramps = [pb.ResourceChange(kind="Rollout", key="launch", operation=pb.OPERATION_UPDATE)]
    steps = [pb.Entry(revision=n, at_ms=NOW_MS, actor="engine", action="advance", changes=ramps) for n in (9, 8, 7)]
    answer = pb.GetStatusResponse(environment="production", recent=[*steps, APPLY, APPLY])
    control.on("GetStatus", answer)
    lines = rollout("status").out.splitlines()
    assert sum("advance" in line for line in lines) == 1
    assert any("rollout/launch, 3 steps since revision 7" in line for line in lines)
    assert sum("jo@example.com" in line for line in lines) == 2


def test_json_tells_who_killed(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetStatus", STATUS).on("ListHistory", pb.ListHistoryResponse(entries=[APPLY, KILL]))
    data = rollout("status", "-o", "json").data
    assert data["environment"] == "production"
    assert data["position"] == {"epoch": "e", "revision": 14, "digest": "01"}
    assert data["sdks"] == {"connected": 4, "behind": 1}
    killed = {flag["key"]: flag["killed_by"] for flag in data["flags"]}
    assert killed["checkout-v2"] is None
    assert killed["new-cart"]["revision"] == 14
    assert killed["new-cart"]["undo"] == "rollout unkill new-cart"
    assert [entry["revision"] for entry in data["recent"]] == [14, 13]


def test_an_empty_environment_says_so_and_what_to_do(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetStatus", pb.GetStatusResponse(environment="production"))
    outcome = rollout("status")
    assert "no flags yet; write one and try: rollout apply -f flags.yaml" in outcome.out
    assert "nothing changed in the last hour; older: rollout history" in outcome.out


def test_the_status_stands_while_the_history_is_away(rollout: CommandLine, control: ScriptedControl) -> None:
    """Killed flags are told though the store that knows who killed them is down."""
    control.on("GetStatus", STATUS).on("ListHistory", Refusal(grpc.StatusCode.UNAVAILABLE, "the store is away"))
    outcome = rollout("status")
    assert outcome.code == 0
    assert "✘ killed" in outcome.out


def test_hostile_text_cannot_move_the_cursor(rollout: CommandLine, control: ScriptedControl) -> None:
    flag = pb.FlagSummary(key="x", serving="\x1b[2Jgone\r\n\u202e[red]on[/red]")
    control.on("GetStatus", pb.GetStatusResponse(environment="production", flags=[flag]))
    out = rollout("status", "--output", "wide").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2Jgone\\r\\n\\u202e[red]on[/red]" in out.replace("\n", "").replace("                   ", "")


def test_rollouts_on_their_way_come_with_their_commands(rollout: CommandLine, control: ScriptedControl) -> None:
    """Who waits for somebody first; what is over is left to `get rollouts`."""
    lines = [
        pb.RolloutSummary(key="a", phase="running", sentence="a run 1 at canary", exposing=True),
        pb.RolloutSummary(key="b", phase="awaiting approval", sentence="b waits", exposing=True, needs_person=True),
        pb.RolloutSummary(key="c", phase="held", sentence="c is held", exposing=True, needs_person=True),
        pb.RolloutSummary(key="d", phase="rolled back", sentence="d is over"),
        pb.RolloutSummary(key="e", phase="scheduled", sentence="e starts by itself at noon, and moves f to on"),
    ]
    control.on("GetStatus", pb.GetStatusResponse(environment="production", rollouts=lines))
    out = rollout("status").out
    assert out.index("c is held") < out.index("b waits") < out.index("a run 1")
    assert "next: rollout approve b" in out
    assert "then rollout ack c" in out
    assert out.count("undo: rollout rollback") == 3
    assert "d is over" not in out
    assert "e starts by itself at noon, and moves f to on\n  stop: rollout cancel e\n" in out
    assert len(rollout("status", "-o", "json").data["rollouts"]) == 5
