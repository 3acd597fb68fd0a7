"""The processes of `rollout demo`: a server, copies of a shop, their visitors. All end with the demo."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.ports import any_free

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, Self

SHOPS = 4
VISITS_PER_S = 480
_HOST = "127.0.0.1"
_STOP_WITHIN_S = 5.0
_SERVER_SETTINGS = {
    # Compressed time: windows of a second instead of ten, looked at twice a second instead of every five.
    "ROLLOUT_WINDOW_MS": "1000",
    "ROLLOUT_REPORT_EVERY_MS": "500",
    "ROLLOUT_TICK_MS": "500",
    "ROLLOUT_DRAIN_WITHIN_MS": "500",
    "ROLLOUT_LOG_LEVEL": "warning",
    "ROLLOUT_HTTP_LISTEN": "",
}


@dataclass
class Crew:
    """Processes on this machine, and what they write.

    Attributes:
        home: of the store, the token, the logs.
        examples: where the shop is.
        address: of the server.
        settings: of the server, beside those of compressed time.
        children: by name; each ends with the crew.
    """

    home: Path
    examples: Path
    address: str = field(default_factory=lambda: f"{_HOST}:{any_free()}")
    settings: Mapping[str, str] = field(default_factory=dict)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all, the visitors first: a shop that ends under load would look like a lost process."""
        for name in reversed(list(self.children)):
            self.stop(name)

    @property
    def token(self) -> str:
        """The first admin token, as the server wrote it."""
        return (self.home / "data" / "first-admin-token").read_text(encoding="ascii").strip()

    def serve(self) -> None:
        """Start the server on an embedded store."""
        self.start_server("server", self.home / "data", self.address)

    def start_server(self, name: str, data: Path, address: str, **settings: str) -> None:
        """Start one server."""
        environ = {**_SERVER_SETTINGS, **self.settings, **settings}
        self.run(name, "-m", "rollout_server", "serve", "--data", str(data), "--listen", address, **environ)

    @property
    def shops_server(self) -> str:
        """The address that the shops know."""
        return self.address

    def open_shops(self, token: str) -> None:
        """Start the copies of the shop, and let visitors in."""
        folder = self.examples / "demo"
        ports = [any_free() for _ in range(SHOPS)]
        for number, port in enumerate(ports, start=1):
            self.run(
                f"shop-{number}", str(folder / "shop.py"), "--port", str(port),
                ROLLOUT_SERVER=self.shops_server, ROLLOUT_TOKEN=token, ROLLOUT_SERVICE=f"shop-{number}",
                OUTAGE=str(self.outage),
            )  # fmt: skip
        self.run("visitors", str(folder / "drive.py"), "--ports", ",".join(map(str, ports)),
                 "--visits-per-s", str(VISITS_PER_S), "--seen", str(self.home / "seen.json"))  # fmt: skip

    @property
    def outage(self) -> Path:
        """While this file exists, the shops' payment provider is away."""
        return self.home / "outage"

    def seen(self) -> dict[str, int]:
        """Return what visitors counted so far."""
        with contextlib.suppress(OSError, ValueError):
            counts: dict[str, int] = json.loads((self.home / "seen.json").read_text(encoding="ascii"))
            return counts
        return {}

    def command(self, *arguments: str) -> tuple[str, int]:
        """Type a command as a user would; return what it printed, and its exit code."""
        environ = {**os.environ, "ROLLOUT_SERVER": self.address, "ROLLOUT_TOKEN": self.token, "COLUMNS": "120"}
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "rollout_server", *arguments],
            env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, cwd=self.home,
        )  # fmt: skip
        return done.stdout, done.returncode

    def run(self, name: str, *arguments: str, **environ: str) -> None:
        """Start a Python process; what it prints goes to a file of its name."""
        self.launch(name, sys.executable, *arguments, **environ)

    def launch(self, name: str, *command: str, **environ: str) -> None:
        """Start a program; what it prints goes to a file of its name."""
        log: IO[bytes]
        with (self.home / f"{name}.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which stops the others in its order.
            self.children[name] = subprocess.Popen(  # noqa: S603 - our own programs, and Redis
                command,
                env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def stop(self, name: str) -> None:
        """End a process, politely and then not."""
        process = self.children.pop(name)
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """End a process as a crash does."""
        process = self.children.pop(name)
        process.kill()
        process.wait()

    def check(self) -> None:
        """Refuse to go on without somebody.

        Raises:
            CommandFailed: a process ended; with the last lines it printed.
        """
        for name, process in self.children.items():
            if process.poll() is not None:
                lines = (self.home / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
                raise CommandFailed(f"{name} ended with code {process.returncode}", details=lines[-12:])


def new_home() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for one demo."""
    return tempfile.TemporaryDirectory(prefix="rollout-demo-")


def typed(arguments: Sequence[str]) -> str:
    """Return a command as it is typed."""
    return f"$ rollout {shlex.join(arguments)}"
