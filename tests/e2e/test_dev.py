"""`rollout dev`, as a newcomer uses it: one terminal shows what the shop serves, another changes it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.terminal import WITHIN_S, Terminal

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A fresh `rollout dev` in an empty directory."""
    with Terminal(tmp_path) as running:
        yield running


def test_a_newcomer_changes_what_the_shop_serves(terminal: Terminal) -> None:
    """A kill, an edit and a restart by what the output suggests: each is seen in the shop, and proven by `sdks`."""
    pasted = shlex.split(terminal.line(r"kill checkout-v2").split("#")[0])
    assert pasted[-2:] == ["kill", "checkout-v2"]
    assert "plan -f .rollout/flags" in terminal.line(r" plan "), "the copy that this newcomer edits"
    assert "one click" in terminal.line(r"checkout: ")
    config = terminal.directory / "config.toml"
    assert config.stat().st_mode & 0o777 == 0o600

    killed = terminal.rollout("kill", "checkout-v2")
    assert killed.returncode == 0, killed.stderr
    assert "unkill checkout-v2" in killed.stdout + killed.stderr
    assert "three steps 100.0%" in terminal.line(r"checkout: ")

    edited = terminal.directory / ".rollout" / "flags" / "checkout.yaml"
    edited.write_text(
        "kind: Flag\nmetadata: {key: checkout-v2, owner: you}\nspec:\n  rules:\n    - {id: all, serve: 'on'}\n"
    )
    assert terminal.rollout("unkill", "checkout-v2").returncode == 0
    assert "one click" in terminal.line(r"checkout: ")
    applied = terminal.rollout("apply", "-f", str(edited), "--yes")
    assert applied.returncode == 0, applied.stderr
    assert "one click 100.0%" in terminal.line(r"checkout: ")

    sdks = json.loads(terminal.rollout("sdks", "-o", "json").stdout)
    (shop,) = sdks["instances"]
    assert (shop["service"], shop["state"]) == ("shop", "in force")
    assert shop["lag_ms"] >= 0

    children = psutil.Process(terminal.process.pid).children(recursive=True)
    assert len(children) == 2
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(WITHIN_S) == 0
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    with Terminal(terminal.directory) as again:
        again.line("as you left it")
        assert "one click 100.0%" in again.line(r"checkout: ")


def test_a_second_one_on_the_same_store_leaves_the_first_alone(terminal: Terminal) -> None:
    """It says who is there and what to do; commands that were pasted go on to work."""
    terminal.line("Ctrl-C stops everything")
    second = terminal.rollout("dev", "--no-shop")
    assert second.returncode == 1
    assert "a server runs on .rollout already" in second.stderr
    assert "rollout dev --data DIR" in second.stderr
    assert terminal.rollout("status").returncode == 0


def test_the_example_flags_are_valid_and_their_cases_pass() -> None:
    """The files that `make run` applies are linted, formatted and tested by the commands we tell people to use."""
    for command in (["lint"], ["fmt", "--check"], ["test"]):
        done = subprocess.run(
            [sys.executable, "-m", "rollout_server", *command, str(EXAMPLES / "flags")],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
