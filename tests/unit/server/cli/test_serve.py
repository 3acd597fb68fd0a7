"""`rollout serve`: thin; what a server does is tested where it is."""

from __future__ import annotations

import socket
from pathlib import Path

import click
import pytest

from rollout_server.cli.serve import serve
from rollout_server.settings import Settings
from tests.doubles.command_line import CommandLine


def test_every_option_is_a_setting() -> None:
    names = {param.name for param in serve.params} - {"settings"}
    assert names <= set(Settings.model_fields)


def test_a_lost_admin_token_is_replaced_by_an_option() -> None:
    """The hint on a refused token names it, and nobody has to find the settings file first."""
    assert "--new-admin-token" in {name for param in serve.params for name in param.opts}


def test_a_wrong_setting_is_usage_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CommandLine()("serve", "--listen", "nowhere")
    assert outcome.code == 2
    assert "option --listen" in outcome.err
    assert "nothing was started" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("--data", str(tmp_path / "d"), "--http-listen", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0")
        outcome = CommandLine()("serve", *words)
    assert outcome.code == 1
    assert str(port) in outcome.err
    assert "Traceback" not in outcome.err


def test_it_needs_no_server_to_talk_to() -> None:
    assert isinstance(serve, click.Command)
    assert "--token" not in {name for param in serve.params for name in param.opts}
