"""`rollout completion`."""

from __future__ import annotations

import subprocess

import pytest

from rollout_server.cli.completion import SHELLS
from tests.doubles.command_line import CommandLine


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(shell: str) -> None:
    outcome = CommandLine()("completion", shell)
    assert outcome.code == 0
    assert f"_ROLLOUT_COMPLETE={shell}_complete" in outcome.out


def test_bash_takes_it() -> None:
    script = CommandLine()("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607 - the developer's own shell


def test_another_shell_is_usage() -> None:
    assert CommandLine()("completion", "csh").code == 2
