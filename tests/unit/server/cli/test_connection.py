"""One channel to one server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.connection import CALL_TIMEOUT_MS, Connection
from rollout_server.cli.failures import CommandFailed, Exit, ServerRefused
from rollout_server.cli.target import Target
from tests.doubles.control_service import ScriptedControl, serving


def test_token_and_environment_travel_with_every_call() -> None:
    control = ScriptedControl().on("GetStatus", pb.GetStatusResponse()).on("Backup", [pb.BackupResponse(data=b"x")])
    with serving(control) as server:
        connection = Connection(Target(server, "rg_secret", "production"))
        connection.ask(connection.stub.GetStatus, pb.GetStatusRequest())
        assert [item.data for item in connection.receive(connection.stub.Backup, pb.BackupRequest())] == [b"x"]
        connection.close()
    for call in control.calls:
        assert call.metadata["authorization"] == "Bearer rg_secret"
        assert call.metadata["rollout-environment"] == "production"


def test_without_a_token_none_is_sent() -> None:
    control = ScriptedControl().on("GetStatus", pb.GetStatusResponse())
    with serving(control) as server:
        connection = Connection(Target(server, ""))
        connection.ask(connection.stub.GetStatus, pb.GetStatusRequest())
        connection.close()
    assert "authorization" not in control.calls[0].metadata


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(ScriptedControl().on("GetStatus", pb.GetStatusResponse())) as server:
        connection = Connection(Target(server, ""))
        connection.ask(connection.stub.GetStatus, pb.GetStatusRequest())
        connection.close()


def test_a_server_that_stopped_ends_the_wait_and_says_so() -> None:
    """It takes the connection and never speaks, as a process under SIGSTOP does."""
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target(f"127.0.0.1:{silent.getsockname()[1]}", "")
        connection = Connection(target, told.append, lambda: told.append("over"), patience_ms=1)
        with pytest.raises(ServerRefused, match="did not answer in time") as refused:
            connection.ask(connection.stub.GetStatus, pb.GetStatusRequest(), timeout_ms=50)
        connection.close()
    assert refused.value.exit_code is Exit.UNREACHABLE
    assert told == [f"waiting for the server at {target.server}", "over"]


def test_no_call_waits_for_ever() -> None:
    """Whoever types a command learns within ten seconds that nobody answers."""
    assert CALL_TIMEOUT_MS <= 10_000


def test_plaintext_does_not_answer_tls(tmp_path: Path) -> None:
    with serving(ScriptedControl()) as server:
        connection = Connection(Target(server, "", is_secure=True))
        with pytest.raises(ServerRefused, match="cannot be reached") as refused:
            connection.ask(connection.stub.GetStatus, pb.GetStatusRequest())
        connection.close()
    assert refused.value.details[0].startswith("TLS: ")
    assert "the server speaks no TLS" in refused.value.hint


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    connection = Connection(Target("localhost:1", "", is_secure=True, ca=Path("/nonexistent.pem")))
    with pytest.raises(CommandFailed, match=r"/nonexistent\.pem cannot be read"):
        _ = connection.stub


def test_closing_what_was_never_opened() -> None:
    Connection(Target("localhost:1", "")).close()
