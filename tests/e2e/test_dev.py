"""`rollout dev`, as a newcomer uses it: one terminal shows what the shop serves, another changes it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from typing import Self

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHIN_S = 40


class Terminal:
    """A `rollout dev` that runs, and every line it printed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ = {**os.environ, "ROLLOUT_CONFIG": str(directory / "config.toml"), "PYTHONUNBUFFERED": "1"}
        self._lines: Queue[str] = Queue()
        self.seen: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rollout_server", "dev"],
            cwd=directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self._lines.put(line.rstrip("\n"))

    def line(self, pattern: str) -> str:
        """Wait for a line that holds the pattern."""
        while True:
            try:
                line = self._lines.get(timeout=WITHIN_S)
            except Empty:
                raise AssertionError(f"no line with {pattern!r} after: {self.seen}") from None
            self.seen.append(line)
            if re.search(pattern, line):
                return line

    def rollout(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command into another terminal."""
        return subprocess.run(
            [sys.executable, "-m", "rollout_server", *arguments],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A fresh `rollout dev` in an empty directory."""
    with Terminal(tmp_path) as running:
        yield running


def test_a_newcomer_changes_what_the_shop_serves(terminal: Terminal) -> None:
    """A kill, an edit and a restart by what the output suggests: each is seen in the shop, and proven by `sdks`."""
    pasted = shlex.split(terminal.line(r"kill checkout-v2").split("#")[0])
    assert pasted[-2:] == ["kill", "checkout-v2"]
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
