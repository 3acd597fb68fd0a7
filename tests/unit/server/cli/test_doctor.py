"""`rollout doctor`."""

from __future__ import annotations

from pathlib import Path

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

GOOD = pb.Check(name="disk", ok=True, detail="10 MiB free")
BAD = pb.Check(name="flags expired", detail="cart", hint="remove it, or give it a later date")


def test_all_well(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Diagnose", pb.DiagnoseResponse(checks=[GOOD]))
    outcome = rollout("doctor")
    assert outcome.code == 0
    assert outcome.out == (
        "WHERE   CHECK         RESULT  DETAIL\n"
        "here    context file  ✔ ok    none at /nonexistent/config.toml\n"
        f"here    target        ✔ ok    {rollout.server} (plaintext)\n"
        "here    token         ✔ ok    given\n"
        "server  answers       ✔ ok    in 0 ms\n"
        "server  disk          ✔ ok    10 MiB free\n"
    )


def test_what_fails_says_what_to_do(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Diagnose", pb.DiagnoseResponse(checks=[BAD]))
    outcome = rollout("doctor")
    assert outcome.code == 1
    assert "flags expired: remove it, or give it a later date" in outcome.out
    assert rollout("doctor", "-o", "json").data["checks"][-1] == {
        "where": "server",
        "name": "flags expired",
        "ok": False,
        "detail": "cart",
        "hint": "remove it, or give it a later date",
    }


def test_a_server_that_is_away_is_9_and_says_how_to_look(rollout: CommandLine) -> None:
    rollout.server, rollout.environment = "127.0.0.1:1", ""
    outcome = rollout("doctor")
    assert outcome.code == 9
    assert "is it running (rollout serve)" in outcome.out


def test_a_token_that_is_refused_is_8(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Diagnose", Refusal(grpc.StatusCode.PERMISSION_DENIED, "expired", pb.ErrorDetail(hint="get another")))
    outcome = rollout("doctor")
    assert outcome.code == 8
    assert "answers: get another" in outcome.out


def test_a_context_file_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("", encoding="utf-8")
    path.chmod(0o644)
    outcome = CommandLine(variables={"ROLLOUT_CONFIG": str(path)})("doctor")
    assert outcome.code == 1
    assert f"chmod 600 {path}" in outcome.out


def test_no_token_and_no_way(tmp_path: Path) -> None:
    assert "rollout context set" in CommandLine()("doctor").out
    path = tmp_path / "config.toml"
    path.write_text('current = "gone"\n[contexts.a]\nserver = "h:1"\n', encoding="utf-8")
    path.chmod(0o600)
    outcome = CommandLine(environment="", variables={"ROLLOUT_CONFIG": str(path)})("doctor")
    assert outcome.code == 1
    assert "current = 'gone'" in " ".join(outcome.out.split())  # the column folds where the path makes it
