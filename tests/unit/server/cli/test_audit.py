"""`rollout audit`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl

DIGEST = bytes(range(32))
HEAD = Position(epoch="e1", revision=9, digest=DIGEST)
INTACT = pb.VerifyAuditResponse(intact=True, entries=9, head=HEAD)


def test_a_head_that_was_printed_is_verified_against(
    rollout: CommandLine, control: ScriptedControl, tmp_path: Path
) -> None:
    control.on("GetStatus", pb.GetStatusResponse(environment="production", position=HEAD)).on("VerifyAudit", INTACT)
    text, data = rollout("audit", "head").out, rollout("audit", "head", "-o", "json").out
    assert text == f"e1:9:{DIGEST.hex()}\n"
    path = tmp_path / "head"
    for kept in (text, data):
        path.write_text(kept, encoding="utf-8")
        for given in (kept, f"@{path}"):
            outcome = rollout("audit", "verify", "--head", given)
            assert outcome.code == 0
            assert outcome.out == "✔ intact: 9 entries checked, revisions 1 to 9\n"
            expected = control.requests("VerifyAudit")[-1].expected_head
            assert (expected.epoch, expected.revision, expected.digest) == ("e1", 9, DIGEST)


def test_without_a_head_it_says_what_it_cannot_find(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("VerifyAudit", INTACT)
    outcome = rollout("audit", "verify")
    assert "a cut tail is found only against a head kept elsewhere" in outcome.err
    assert not control.requests("VerifyAudit")[0].HasField("expected_head")


def test_damage_is_1_and_says_where(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("VerifyAudit", pb.VerifyAuditResponse(problem="entry 7: its digest does not hold", head=HEAD))
    outcome = rollout("audit", "verify")
    assert outcome.code == 1
    assert outcome.out == "✘ the journal is not what was written: entry 7: its digest does not hold\n"
    assert "rollout backup" in outcome.err
    assert rollout("audit", "verify", "-o", "json").data["intact"] is False


@pytest.mark.parametrize("head", ["", "x", "e1:9:zz", "e1:x:" + DIGEST.hex(), "{", "{}", "@/nonexistent", "e1:9:ff"])
def test_what_is_no_head_is_usage(rollout: CommandLine, control: ScriptedControl, head: str) -> None:
    assert rollout("audit", "verify", "--head", head).code == 2
    assert control.calls == []
