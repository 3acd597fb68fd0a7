"""Keys of the server on the Tab key, and silence where there is no server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import grpc
import pytest
from click.shell_completion import ShellComplete

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.key_completion import CALL_TIMEOUT_MS
from rollout_server.cli.main import cli
from rollout_server.cli.session import Session
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

KEYS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "Flag": [("checkout-v2", {}), ("cart", {}), ("search", {})],
    "Rollout": [("checkout-launch", {"flag": "checkout-v2"})],
    "Cohort": [("beta", {})],
    "Freeze": [("weekends", {})],
}


def listed(request: pb.ListResourcesRequest) -> pb.ListResourcesResponse:
    def resource(key: str, spec: dict[str, Any]) -> pb.Resource:
        tree = {"kind": request.kind, "metadata": {"key": key}, "spec": spec}
        return pb.Resource(document=pb.Document(kind=request.kind, key=key, json=json.dumps(tree)))

    return pb.ListResourcesResponse(resources=[resource(key, spec) for key, spec in KEYS[request.kind]])


def offered(rollout: CommandLine, *words: str) -> list[str]:
    """What Tab offers for the last of these words."""
    environ = {"ROLLOUT_CONFIG": "/nonexistent/config.toml", "ROLLOUT_TOKEN": "rg_test", **rollout.variables}
    if rollout.server:
        environ["ROLLOUT_SERVER"] = rollout.server
    shell = ShellComplete(cli, {"obj": Session(rollout.world(environ))}, "rollout", "_ROLLOUT_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("kill", "c"), ["cart", "checkout-v2"]),
        (("kill", "flag/c"), ["flag/cart", "flag/checkout-v2"]),
        (("kill", "cohort/"), []),
        (("explain", ""), ["cart", "checkout-v2", "search"]),
        (("rollback", "check"), ["checkout-launch", "checkout-v2"]),
        (("pause", "rollout/"), ["rollout/checkout-launch"]),
        (("approve", "s"), []),
        (("thaw", ""), ["weekends"]),
        (("describe", "cohorts/"), ["cohorts/beta"]),
        (("history", "check"), ["checkout-launch", "checkout-v2"]),
        (("get", "planet/"), []),
        (("get", "c"), ["channels", "cohorts", "cart", "checkout-launch", "checkout-v2"]),
    ],
)
def test_keys_of_what_the_command_takes(
    rollout: CommandLine, control: ScriptedControl, words: tuple[str, ...], keys: list[str]
) -> None:
    """As far as typed; with their kind where that was typed."""
    control.on("ListResources", listed)
    assert offered(rollout, *words) == keys


def test_it_asks_where_the_command_would(rollout: CommandLine, control: ScriptedControl) -> None:
    """Options that stand before count."""
    control.on("ListResources", listed)
    assert offered(rollout, "-e", "staging", "kill", "ca") == ["cart"]
    assert offered(rollout, "kill", "--token", "rg_other", "ca") == ["cart"]
    first, second = (call.metadata for call in control.calls)
    assert (first["rollout-environment"], first["authorization"]) == ("staging", "Bearer rg_test")
    assert second["authorization"] == "Bearer rg_other"


def test_what_the_server_refuses_is_nothing(rollout: CommandLine, control: ScriptedControl) -> None:
    """No right to look, or a server that does not know the question."""
    control.on("ListResources", Refusal(grpc.StatusCode.PERMISSION_DENIED, "no"))
    assert offered(rollout, "kill", "c") == []


def test_where_nobody_can_be_asked_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """A closed port, one that takes connections and is silent, a token file that is gone: no word, no wait."""
    assert CALL_TIMEOUT_MS <= 1_000
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert offered(CommandLine(f"127.0.0.1:{port}"), "kill", "c") == []
    assert offered(CommandLine(f"127.0.0.1:{port}"), "kill", "c") == []
    gone = CommandLine(variables={"ROLLOUT_TOKEN": "", "ROLLOUT_TOKEN_FILE": "/nonexistent/token"})
    assert offered(gone, "kill", "c") == []
    assert capfd.readouterr() == ("", "")


def test_a_shell_gets_them(rollout: CommandLine, control: ScriptedControl) -> None:
    """As the script of `rollout completion bash` asks for them."""
    control.on("ListResources", listed)
    environ = {
        **os.environ,
        "ROLLOUT_SERVER": rollout.server,
        "ROLLOUT_TOKEN": "rg_test",
        "ROLLOUT_CONFIG": "/nonexistent/config.toml",
        "_ROLLOUT_COMPLETE": "bash_complete",
        "COMP_WORDS": "rollout kill che",
        "COMP_CWORD": "2",
    }
    asked = subprocess.run(
        [sys.executable, "-m", "rollout_server"], env=environ, capture_output=True, text=True, check=False
    )
    assert (asked.stdout.splitlines(), asked.stderr) == (["plain,checkout-v2"], "")
