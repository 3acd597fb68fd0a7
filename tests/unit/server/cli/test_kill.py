"""`rollout kill`: at once, proven, and never claiming more than is known."""

from __future__ import annotations

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

FLAG = pb.GetResourceResponse(
    resource=pb.Resource(document=pb.Document(kind="Flag", key="cart", json='{"spec": {"off": "none"}}'), version=15)
)
ENTRY = pb.Entry(revision=15, action="kill", changes=[pb.ResourceChange(kind="Flag", key="cart")])


def instance(
    host: str, revision: int, state: pb.InstanceState.ValueType = pb.INSTANCE_STATE_IN_FORCE, lag_ms: int = 5
) -> pb.Instance:
    return pb.Instance(
        service="shop",
        host=host,
        pid=7,
        state=state,
        in_force=Position(revision=revision),
        lag_ms=lag_ms,
        last_seen_at_ms=NOW_MS - 240_000,
    )


def fleet(*instances: pb.Instance) -> pb.ListInstancesResponse:
    return pb.ListInstancesResponse(instances=instances)


@pytest.fixture(autouse=True)
def killing(control: ScriptedControl) -> None:
    control.on("Kill", pb.KillResponse(entry=ENTRY)).on("GetResource", FLAG)


def test_it_waits_until_every_process_obeys_and_says_how_long_it_took(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    straggler = instance("b", 14, pb.INSTANCE_STATE_STRAGGLING)
    control.on(
        "ListInstances", fleet(instance("a", 15), straggler), fleet(instance("a", 15), instance("b", 15, lag_ms=83))
    )
    outcome = rollout("kill", "cart")
    assert outcome.code == 0
    assert outcome.out == (
        "✔ cart is killed: it serves `none` to everybody (revision 15)\n"
        "✔ 2 of 2 processes serve `none`, the last after 83 ms\n"
        "undo: rollout unkill cart\n"
    )
    assert rollout.waited_ms > 0


def test_it_asks_for_nothing_even_on_a_terminal(rollout: CommandLine, control: ScriptedControl) -> None:
    """At 3 a.m. there is one command to type, and nothing to answer."""
    rollout.interactive = True
    control.on("ListInstances", fleet())
    assert rollout("kill", "flag/cart").code == 0
    intent = control.requests("Kill")[0].intent
    assert intent.reason == ""
    assert intent.idempotency_key == f"{1:032x}"


def test_while_one_is_unreachable_it_never_says_all(rollout: CommandLine, control: ScriptedControl) -> None:
    """The certificate counts a process that vanished without goodbye, by name, with what to do there."""
    control.on("ListInstances", fleet(instance("a", 15), instance("web-3", 14, pb.INSTANCE_STATE_UNREACHABLE)))
    outcome = rollout("kill", "cart")
    assert outcome.code == 5
    assert "2 of 2" not in outcome.out
    assert "✘ only 1 of 2 processes are known to serve `none`" in outcome.out
    assert "unreachable  shop@web-3 (pid 7), last seen 4m ago at revision 14" in outcome.out
    assert '{"cart": "none"}' in outcome.out
    assert "ROLLOUT_OVERRIDES" in outcome.out
    assert rollout.waited_ms == 0
    assert outcome.out.endswith("undo: rollout unkill cart\n")


def test_an_unreachable_process_that_holds_the_kill_already_still_counts_as_unknown(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("ListInstances", fleet(instance("a", 15, pb.INSTANCE_STATE_UNREACHABLE)))
    assert rollout("kill", "cart").code == 5


def test_a_quarantined_process_obeys_a_kill(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", fleet(instance("a", 15, pb.INSTANCE_STATE_QUARANTINED)))
    assert rollout("kill", "cart").code == 0


def test_a_straggler_runs_into_the_timeout(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", fleet(instance("slow", 14, pb.INSTANCE_STATE_STRAGGLING)))
    outcome = rollout("kill", "cart", "--timeout", "2s")
    assert outcome.code == 5
    assert "straggling   shop@slow (pid 7), still at revision 14" in outcome.out
    assert 2_000 <= rollout.waited_ms < 2_200


def test_no_wait_proves_nothing_and_claims_nothing(rollout: CommandLine, control: ScriptedControl) -> None:
    outcome = rollout("kill", "cart", "--no-wait")
    assert outcome.code == 0
    assert "processes" not in outcome.out
    assert not control.requests("ListInstances")


def test_killed_before_is_said_and_checked_all_the_same(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Kill", pb.KillResponse(unchanged=True, position=Position(revision=40)))
    control.on("ListInstances", fleet(instance("a", 15), instance("b", 14)))
    outcome = rollout("kill", "cart", "--timeout", "0s")
    assert "was killed already" in outcome.out
    assert outcome.code == 5
    assert "only 1 of 2 processes" in outcome.out


def test_a_lag_of_a_later_revision_is_not_passed_off_as_the_kills(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("ListInstances", fleet(instance("a", 15, lag_ms=3), instance("b", 16, lag_ms=9)))
    assert "✔ 2 of 2 processes serve `none`\n" in rollout("kill", "cart").out


def test_the_server_going_away_after_the_kill_is_no_proof(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", Refusal(grpc.StatusCode.UNAVAILABLE, "gone"))
    outcome = rollout("kill", "cart")
    assert outcome.code == 5
    assert "committed, but whether the processes obey is unknown" in outcome.out


def test_without_a_server_the_way_round_is_on_the_screen(rollout: CommandLine) -> None:
    rollout.server = "127.0.0.1:1"
    outcome = rollout("kill", "cart")
    assert outcome.code == 9
    assert "127.0.0.1:1 cannot be reached" in outcome.err
    assert '{"cart": "off"}' in outcome.err
    assert "ROLLOUT_OVERRIDES" in outcome.err
    assert f"--idempotency-key {1:032x}" in outcome.err


def test_a_kill_that_may_be_lost_is_not_told_as_not_done(rollout: CommandLine, control: ScriptedControl) -> None:
    """No replica of the store has confirmed it: processes obey, the key repeats it, and no word says they do not."""
    told = "revision 3 is written in Redis, and a failover now would lose it"
    control.on("Kill", Refusal(grpc.StatusCode.UNAVAILABLE, told, pb.ErrorDetail(code="unknown", hint="repeat it")))
    outcome = rollout("kill", "cart")
    assert outcome.code == 9
    assert told in outcome.err
    assert "if it is written, processes obey it already: rollout certificate cart" in outcome.err
    assert "keep deciding" not in outcome.err
    assert "whether it was done is unknown" not in outcome.err
    assert f"--idempotency-key {1:032x}" in outcome.err


def test_a_broken_connection_is_tried_once_more_with_the_same_key(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    """A repeat with the same key cannot do it twice."""
    control.on("Kill", Refusal(grpc.StatusCode.UNAVAILABLE, "reset"), pb.KillResponse(entry=ENTRY))
    control.on("ListInstances", fleet())
    assert rollout("kill", "cart").code == 0
    first, second = control.requests("Kill")
    assert first.intent.idempotency_key == second.intent.idempotency_key


def test_a_wrong_key_suggests_the_right_one(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Kill", Refusal(grpc.StatusCode.NOT_FOUND, "no flag", pb.ErrorDetail(code="not_found")))
    listed = pb.Resource(document=pb.Document(kind="Flag", key="checkout-v2"))
    control.on("ListResources", pb.ListResourcesResponse(resources=[listed]))
    outcome = rollout("kill", "chekout-v2")
    assert outcome.code == 1
    assert "next: did you mean checkout-v2?" in outcome.err


def test_json_carries_the_certificate(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListInstances", fleet(instance("a", 15), instance("b", 14, pb.INSTANCE_STATE_UNREACHABLE)))
    outcome = rollout("kill", "cart", "-o", "json")
    assert outcome.code == 5
    data = outcome.data
    assert {key: data[key] for key in ("environment", "flag", "revision", "undo")} == {
        "environment": "production",
        "flag": "cart",
        "revision": 15,
        "undo": "rollout unkill cart",
    }
    assert data["certificate"]["complete"] is False
    assert [item["host"] for item in data["certificate"]["in_force"]] == ["a"]
    assert [item["host"] for item in data["certificate"]["unreachable"]] == ["b"]


def test_a_kill_that_is_done_is_reported_though_the_environment_cannot_be_named(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    rollout.environment = ""
    control.on("GetStatus", Refusal(grpc.StatusCode.UNAVAILABLE, "gone")).on("ListInstances", fleet())
    outcome = rollout("kill", "cart")
    assert outcome.code == 0
    assert "the environment of this token" in outcome.err


def test_unkill_asks_why_and_tells_its_undo(rollout: CommandLine, control: ScriptedControl) -> None:
    rollout.interactive, rollout.answers = True, "fixed in 4f1c0de\n"
    control.on("Unkill", pb.UnkillResponse(entry=pb.Entry(revision=16))).on("ListInstances", fleet(instance("a", 16)))
    outcome = rollout("unkill", "cart")
    assert outcome.code == 0
    assert control.requests("Unkill")[0].intent.reason == "fixed in 4f1c0de"
    assert outcome.out == (
        "✔ cart is no longer killed: its rules decide (revision 16)\n"
        "✔ 1 of 1 processes decide by its rules, the last after 5 ms\n"
        "undo: rollout kill cart\n"
    )


def test_unkilling_what_is_not_killed_writes_nothing(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Unkill", pb.UnkillResponse(unchanged=True))
    outcome = rollout("unkill", "cart", "--reason", "x")
    assert outcome.code == 0
    assert outcome.out == "✔ cart is not killed; nothing was written\n"


@pytest.mark.parametrize("words", [("kill", "cohort/beta"), ("kill", "cart", "--timeout", "soon"), ("kill",)])
def test_what_is_typed_wrongly_is_usage_and_kills_nothing(
    rollout: CommandLine, control: ScriptedControl, words: tuple[str, ...]
) -> None:
    assert rollout(*words).code == 2
    assert control.calls == []
