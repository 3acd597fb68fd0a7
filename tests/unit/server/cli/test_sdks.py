"""`rollout sdks`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl

INSTANCES = [
    pb.Instance(
        service="shop",
        host="web-1",
        pid=12,
        state=pb.INSTANCE_STATE_IN_FORCE,
        in_force=Position(revision=9),
        lag_ms=83,
        sdk_version="0.1.0",
        instance_id="aa",
    ),
    pb.Instance(
        service="shop",
        host="web-2",
        behind="eu-west",
        pid=7,
        state=pb.INSTANCE_STATE_UNREACHABLE,
        in_force=Position(revision=8),
        lag_ms=-1,
        last_seen_at_ms=NOW_MS - 60_000,
    ),
    pb.Instance(
        service="cron",
        host="job-1",
        pid=3,
        state=pb.INSTANCE_STATE_QUARANTINED,
        in_force=Position(revision=9),
        lag_ms=1_800,
        quarantined_flags=["cart"],
        error="cart: unknown operator",
        missing_capabilities=["op:regex"],
    ),
]


def test_the_worst_comes_first(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", pb.ListInstancesResponse(instances=INSTANCES, position=Position(revision=9)))
    outcome = rollout("sdks")
    assert outcome.err == "production · revision 9 · 3 processes\n"
    assert outcome.out == (
        "SERVICE  HOST   PID  STATE          REV    LAG  QUARANTINED  SEEN\n"
        "shop     web-2    7  ? unreachable    8                      1m ago\n"
        "cron     job-1    3  ✘ quarantined    9  1.8 s  cart\n"
        "shop     web-1   12  ✔ in force       9  83 ms\n"
        "cron job-1 pid 3: cart: unknown operator\n"
    )


def test_where_nobody_knows_of_it_is_left_open(rollout: CommandLine, control: ScriptedControl) -> None:
    """A server that was started since remembers who was there, and not where they stood."""
    gone = pb.Instance(service="shop", host="b", pid=7, state=pb.INSTANCE_STATE_UNREACHABLE, lag_ms=-1)
    control.on("ListInstances", pb.ListInstancesResponse(instances=[gone], position=Position(revision=9)))
    assert rollout("sdks").out.splitlines()[1].startswith("shop     b       7  ? unreachable    -")


def test_wide_shows_what_cannot_be_evaluated_and_which_relay_serves(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("ListInstances", pb.ListInstancesResponse(instances=INSTANCES, position=Position(revision=9)))
    rollout.width = 200
    out = rollout("sdks", "-o", "wide").out
    assert "op:regex" in out
    assert "eu-west" in out


def test_servers_that_are_not_heard_are_said_first(rollout: CommandLine, control: ScriptedControl) -> None:
    """They may serve processes that are not in the list."""
    elsewhere = pb.Instance(service="shop", host="web-9", state=pb.INSTANCE_STATE_IN_FORCE, replica="b:7070")
    unheard = ["server c:7070: it is not heard now"]
    control.on("ListInstances", pb.ListInstancesResponse(instances=[elsewhere], forgotten=2, unheard=unheard))
    rollout.width = 200
    outcome = rollout("sdks", "-o", "wide")
    assert "unheard: server c:7070: it is not heard now" in outcome.out
    assert "forgotten: 2 more processes" in outcome.out
    assert "b:7070" in outcome.out


def test_nobody_connected_says_how_to_connect(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", pb.ListInstancesResponse())
    outcome = rollout("sdks")
    assert outcome.code == 0
    assert "rollout token create --role sdk" in outcome.out


def test_json(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", pb.ListInstancesResponse(instances=INSTANCES[1:2]))
    assert rollout("sdks", "-o", "json").data["instances"] == [
        {
            "instance": "",
            "service": "shop",
            "host": "web-2",
            "behind": "eu-west",
            "server": "",
            "pid": 7,
            "sdk_version": "",
            "state": "unreachable",
            "revision": 8,
            "lag_ms": None,
            "connected_at_ms": 0,
            "last_seen_at_ms": NOW_MS - 60_000,
            "quarantined_flags": [],
            "missing_capabilities": [],
            "error": "",
        }
    ]
