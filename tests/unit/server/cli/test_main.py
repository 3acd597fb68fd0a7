"""The group of commands, and the one place where a command ends."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.main import ENTRIES, cli
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

DETAIL = pb.ErrorDetail(code="conflict", hint="look again")


def test_help_loads_nothing_heavy() -> None:
    """`rollout --help` answers at once: no gRPC, no protobuf, no rich, no YAML, no server."""
    program = (
        "import sys; from rollout_server.cli.main import main; main(['--help'])\n"
        "heavy = ('grpc', 'google', 'rich', 'ruamel', 'pydantic', 'structlog', 'rollout_server.domain')\n"
        "print([name for name in sys.modules if name.startswith(heavy)], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert "Look:" in result.stdout


def test_help_groups_the_commands(rollout: CommandLine) -> None:
    out = rollout("--help").out
    assert [line.strip(":") for line in out.splitlines() if line.endswith(":")] == [
        "Look",
        "Change",
        "Drive",
        "Stop",
        "Run",
        "Gate",
        "Options",
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_command_is_there_and_begins_with_its_line_of_the_help(entry) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    command = cli.get_command(click.Context(cli), entry.name)
    assert command is not None
    assert (command.help or "").replace("\n", " ").startswith(entry.help)


def test_alone_it_is_status(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetStatus", pb.GetStatusResponse(environment="production"))
    assert rollout().err == rollout("status").err
    assert len(control.requests("GetStatus")) == 2


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [("expalin", "explain"), ("undo", "revert, rollback"), ("disable", "kill"), ("aply", "apply")],
)
def test_a_near_miss_of_a_command_is_suggested(rollout: CommandLine, typed: str, suggestion: str) -> None:
    outcome = rollout(typed)
    assert outcome.code == 2
    assert f"did you mean {suggestion}?" in outcome.err


def test_options_are_taken_before_and_after_the_command(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetStatus", pb.GetStatusResponse(environment="staging"))
    for words in (("-e", "staging", "status"), ("status", "-e", "staging"), ("-e", "x", "status", "-e", "staging")):
        assert rollout(*words).code == 0
        assert control.calls[-1].metadata["rollout-environment"] == "staging"
    assert rollout("status", "-o", "json").data == rollout("-o", "json", "status").data


@pytest.mark.parametrize(
    ("status_code", "exit_code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.DATA_LOSS, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.ABORTED, 7),
        (grpc.StatusCode.PERMISSION_DENIED, 8),
        (grpc.StatusCode.UNAUTHENTICATED, 8),
        (grpc.StatusCode.UNAVAILABLE, 9),
    ],
)
def test_every_refusal_has_its_exit_code_and_no_traceback(
    rollout: CommandLine, control: ScriptedControl, status_code: grpc.StatusCode, exit_code: int
) -> None:
    """Scripts branch on the code; people read what happened and what to do next."""
    control.on("GetStatus", Refusal(status_code, "it moved"))
    outcome = rollout("status")
    assert outcome.code == exit_code
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert "next: " in outcome.err or exit_code == 1


def test_nobody_listens(rollout: CommandLine) -> None:
    rollout.server = "127.0.0.1:1"
    outcome = rollout("status")
    assert outcome.code == 9
    assert "127.0.0.1:1 cannot be reached" in outcome.err
    assert "rollout doctor --server 127.0.0.1:1" in outcome.err


def test_a_bug_is_an_incident_and_not_a_traceback(
    rollout: CommandLine, control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(count: int, noun: str) -> str:
        raise ZeroDivisionError(f"a secret in {count} {noun}")

    monkeypatch.setattr("rollout_server.cli.status.quantity", broken)
    control.on("GetStatus", pb.GetStatusResponse(environment="production"))
    outcome = rollout("status")
    assert outcome.code == 1
    assert "bug of Rollout Guard: ZeroDivisionError at " in outcome.err
    assert "incident 00000000" in outcome.err
    assert "ROLLOUT_DEBUG=1" in outcome.err
    assert "secret" not in outcome.err
    rollout.variables["ROLLOUT_DEBUG"] = "1"
    with pytest.raises(ZeroDivisionError):
        rollout("status")


@pytest.mark.parametrize(
    "argv",
    [("kill", "a", "--no-wait", "--reason", "x\udcff"), ("explain", "a", "x\udcff"), ("-e", "x\udcff", "status")],
)
def test_bytes_that_are_no_text_are_no_bug_of_ours(rollout: CommandLine, argv: tuple[str, ...]) -> None:
    """Said before anything is sent, with the argument that holds them."""
    outcome = rollout(*argv)
    assert outcome.code == 2
    assert outcome.err.startswith("error: 'x\\udcff' is not UTF-8\nnext: type it again")


def test_interrupting_is_130_and_quiet(rollout: CommandLine, control: ScriptedControl) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    control.on("Kill", pb.KillResponse(entry=pb.Entry(revision=3)))
    control.on("GetResource", pb.GetResourceResponse())
    instance = pb.Instance(state=pb.INSTANCE_STATE_STRAGGLING)
    control.on("ListInstances", pb.ListInstancesResponse(instances=[instance]))
    rollout.on_pause = interrupt
    outcome = rollout("kill", "checkout")
    assert outcome.code == 130
    assert outcome.err.endswith("interrupted\n")


def test_a_reader_who_has_enough_is_no_error() -> None:
    """`rollout ... | head -1` ends quietly."""
    program = "import sys; from rollout_server.cli.main import main; sys.exit(main(['completion', 'bash']))"
    process = subprocess.Popen(  # closed before it writes
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert errors == ""


def test_the_version_is_the_distributions(rollout: CommandLine) -> None:
    assert rollout("--version").out.startswith("rollout ")


def test_the_page_lists_every_command_and_no_other() -> None:
    """docs/cli.md has one example for each command, and each example parses."""
    page = (Path(__file__).resolve().parents[4] / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \| .* \| (`.*`) \|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == [entry.name for entry in ENTRIES]
    for name, examples in rows:
        for example in re.findall(r"`([^`]+)`", examples):
            words = shlex.split(re.sub(r'^(?:TOKEN=|eval ")\$\((.*)\)"?$', r"\1", example))
            assert words[0] == "rollout"
            assert words[1:2] in ([name], [])
            _parse(words[1:])


def _parse(words: list[str]) -> None:
    """Let click read the words, and run nothing."""
    context, command = click.Context(cli), click.Command("rollout")
    group: click.Command = cli
    while words and isinstance(group, click.Group):
        _, found, words = group.resolve_command(context, words)
        assert found is not None
        group = command = found
    command.make_context("x", words, parent=click.Context(cli, obj=None))
