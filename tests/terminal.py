"""A terminal in which `rollout dev` runs, and a second one for commands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from queue import Empty, Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

WITHIN_S = 60


class Terminal:
    """A `rollout dev` that runs, and every line it printed."""

    def __init__(self, directory: Path, command: Sequence[str] = (sys.executable, "-m", "rollout_server")) -> None:
        self.directory = directory
        self.command = tuple(command)
        self.environ = {**os.environ, "ROLLOUT_CONFIG": str(directory / "config.toml"), "PYTHONUNBUFFERED": "1"}
        self._lines: Queue[str] = Queue()
        self.seen: list[str] = []
        self.process = subprocess.Popen(
            [*self.command, "dev"],
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
            [*self.command, *arguments],
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
