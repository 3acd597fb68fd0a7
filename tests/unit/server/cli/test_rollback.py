"""`rollout rollback`: at once, proven, and never claiming more than is known."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.rollout_scenes import guardrail, launch, moved

ENTRY = pb.Entry(revision=8, action="rollback")


def proof(**more: Any) -> pb.GetCertificateResponse:
    fields: dict[str, Any] = {
        "flag": "checkout", "rollout": "launch", "run": 3, "what": "rollback", "variant": "off",
        "trigger": pb.End(trigger="person", who="mia", stage="quarter"), "complete": True,
        "in_force": ["shop@a (pid 1)", "shop@b (pid 2)"], "first_ack_ms": 12, "last_ack_ms": 83,
        "entry": pb.Entry(revision=8, at_ms=1_795_316_820_798),
    }  # fmt: skip
    return pb.GetCertificateResponse(certificate=pb.Certificate(**{**fields, **more}))


BEHIND = proof(complete=False, in_force=["shop@a (pid 1)"], straggling=["shop@b (pid 2)"])
GONE = proof(complete=False, in_force=["shop@a (pid 1)"], unreachable=["shop@web-3 (pid 7)"])


@pytest.fixture(autouse=True)
def rolling_back(control: ScriptedControl) -> None:
    control.on("Rollback", pb.RollbackResponse(moved=moved(launch("rolled back"), ENTRY)))


def test_it_waits_until_every_process_obeys(rollout: CommandLine, control: ScriptedControl) -> None:
    """All of them, the last after so long; what it takes to begin again."""
    control.on("GetCertificate", BEHIND, proof())
    outcome = rollout("rollback", "checkout")
    assert outcome.code == 0
    assert outcome.out == (
        "✔ launch run 3 is rolled back: everybody gets `off` (revision 8)\n"
        "✔ 2 of 2 processes serve `off`, the last after 83 ms\n"
        "Commit:    revision 8 at 2026-11-22 03:07:00Z; acknowledged first after 12 ms, last after 83 ms\n"
        "Why:       mia (at quarter)\n"
        "again: rollout start launch opens run 4, from its first stage\n"
    )
    assert rollout.waited_ms > 0


def test_it_asks_for_nothing_even_on_a_terminal(rollout: CommandLine, control: ScriptedControl) -> None:
    """At 3 a.m. there is one command to type, and nothing to answer."""
    rollout.interactive = True
    control.on("GetCertificate", proof())
    assert rollout("rollback", "checkout").code == 0
    assert control.requests("Rollback")[0].intent.reason == ""


def test_while_one_is_unreachable_it_never_says_all(rollout: CommandLine, control: ScriptedControl) -> None:
    """It waits as long as it was told, names the host and what to do there, and exits 5."""
    seen = pb.Instance(
        service="shop", host="web-3", pid=7, in_force=Position(revision=7), last_seen_at_ms=NOW_MS - 240_000
    )
    control.on("GetCertificate", GONE).on("ListInstances", pb.ListInstancesResponse(instances=[seen]))
    outcome = rollout("rollback", "checkout", "--timeout", "2s")
    assert outcome.code == 5
    assert rollout.waited_ms >= 2_000
    assert "2 of 2" not in outcome.out
    assert "✘ only 1 of 2 processes are known to serve `off`" in outcome.out
    assert "unreachable  shop@web-3 (pid 7), last seen 4m ago at revision 7\n" in outcome.out
    assert '{"checkout": "off"}' in outcome.out


def test_who_lacks_is_told_as_kill_tells_it(rollout: CommandLine, control: ScriptedControl) -> None:
    """Where each stands, also where two share a name; by name alone where the server has nothing more to say."""
    slow = [pb.Instance(service="shop", host="b", pid=2, in_force=Position(revision=at), behind="eu") for at in (5, 6)]
    many = proof(
        complete=False, in_force=[], straggling=["shop@b (pid 2) behind eu"] * 2,
        quarantined=["shop@c (pid 3)"], unreachable=["shop@d (pid 4)"], forgotten=2,
    )  # fmt: skip
    control.on("GetCertificate", many).on("ListInstances", pb.ListInstancesResponse(instances=slow))
    out = rollout("rollback", "checkout", "--timeout", "1s").out
    rows = [line for line in out.splitlines() if line.startswith("  ")]
    assert rows == [
        "  straggling   shop@b (pid 2) behind eu, still at revision 6",
        "  straggling   shop@b (pid 2) behind eu, still at revision 5",
        "  quarantined  shop@c (pid 3)",
        "  unreachable  shop@d (pid 4)",
        "  forgotten    2 more processes",
    ]
    control.on("ListInstances", Refusal(grpc.StatusCode.UNAVAILABLE, "gone"))
    assert "straggling   shop@b (pid 2) behind eu\n" in rollout("rollback", "checkout", "--timeout", "1s").out


def test_a_verdict_is_shown_with_its_figures(rollout: CommandLine, control: ScriptedControl) -> None:
    """And whom it reached, what serves the variant still, and who was told."""
    broken = guardrail(standing="degraded", sentence="shop.failed +230 % [+55, +556] is past its limit +50 %")
    told = proof(
        guardrails=[guardrail("fine"), broken], exposed_units=310, unit="user",
        still_serving=["targets.on names 2 users"], notified=["pager: delivered"],
    )  # fmt: skip
    control.on("GetCertificate", told)
    out = rollout("rollback", "checkout").out
    assert "Verdict:   shop.failed +230 %" in out
    assert "Exposed:   310 users" in out
    assert "Still:     targets.on names 2 users" in out
    assert "Told:      pager: delivered" in out
    assert "fine" not in out


def test_typed_again_it_proves_it_again(rollout: CommandLine, control: ScriptedControl) -> None:
    """Nothing is written a second time."""
    control.on("Rollback", pb.RollbackResponse(moved=moved(launch("rolled back"), None)))
    control.on("GetCertificate", proof())
    out = rollout("rollback", "checkout").out
    assert out.startswith("✔ launch run 3 was rolled back before: everybody gets `off`\n✔ 2 of 2")


def test_without_a_server_the_way_round_it_is_on_the_screen(rollout: CommandLine, control: ScriptedControl) -> None:
    """The overrides file of each host."""
    control.on("Rollback", Refusal(grpc.StatusCode.UNAVAILABLE, "nobody answers"))
    outcome = rollout("rollback", "checkout")
    assert outcome.code == 9
    assert '{"checkout": "off"}' in outcome.err
    assert "ROLLOUT_OVERRIDES" in outcome.err


def test_a_rollback_that_may_be_lost_is_not_told_as_not_done(rollout: CommandLine, control: ScriptedControl) -> None:
    """No replica of the store has confirmed it: whoever reads must not believe that nobody obeys."""
    told = Refusal(
        grpc.StatusCode.UNAVAILABLE, "revision 3 is written", pb.ErrorDetail(code="unknown", hint="repeat it")
    )
    control.on("Rollback", told)
    outcome = rollout("rollback", "checkout")
    assert outcome.code == 9
    assert "if it is written, processes obey it already: rollout certificate checkout" in outcome.err
    assert "--idempotency-key" in outcome.err


def test_a_server_that_goes_away_leaves_the_proof_open(rollout: CommandLine, control: ScriptedControl) -> None:
    """It is committed; whether it is obeyed is unknown, and that is exit 5."""
    control.on("GetCertificate", Refusal(grpc.StatusCode.UNAVAILABLE, "gone"))
    outcome = rollout("rollback", "checkout")
    assert outcome.code == 5
    assert "whether the processes obey is unknown" in outcome.out


def test_no_wait_returns_at_once(rollout: CommandLine, control: ScriptedControl) -> None:
    """And proves nothing."""
    outcome = rollout("rollback", "checkout", "--no-wait")
    assert outcome.code == 0
    assert control.requests("GetCertificate") == []
    assert rollout("rollback", "checkout", "--timeout", "soon").code == 2


def test_data_is_for_programs(rollout: CommandLine, control: ScriptedControl) -> None:
    """The whole certificate."""
    control.on("GetCertificate", GONE)
    outcome = rollout("rollback", "checkout", "--timeout", "0s", "-o", "json")
    assert outcome.code == 5
    assert outcome.data["certificate"]["unreachable"] == ["shop@web-3 (pid 7)"]
    assert outcome.data["certificate"]["complete"] is False
