"""A server of a benchmark's own, the operator who commands it, and the page that shows what was measured."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
END = "<!-- end of what was measured -->"


class Server:
    """`rollout serve` in a process of its own."""

    def __init__(self, data: Path, settings: Mapping[str, object]) -> None:
        """Choose a port that stays the same over restarts."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.data = data
        environ = {"data": data, "listen": self.address, **settings}
        self.environ = {**os.environ, **{f"ROLLOUT_{name.upper()}": str(value) for name, value in environ.items()}}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it, and return when it accepted its first connection: wall clock, seconds."""
        command = [sys.executable, "-m", "rollout_server", "serve"]
        self.process = subprocess.Popen(command, env=self.environ, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return time.time()
            time.sleep(0.005)

    @property
    def pid(self) -> int:
        """Its process.

        Raises:
            AssertionError: it was never started.
        """
        if self.process is None:
            raise AssertionError("the server runs")
        return self.process.pid

    def stop(self) -> None:
        """Kill it, if it runs, and return when it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.wait()

    def wait(self) -> None:
        """Return when somebody has killed it."""
        if self.process is not None:
            self.process.wait()


class Processes:
    """Processes full of streams, spoken to as one: each answers orders on a pipe of its own."""

    def __init__(self, body: Callable[..., None], shares: Iterable[tuple[object, ...]]) -> None:
        """Start a process for each share.

        Args:
            body: of a process; importable, and called with a share's values and its end of the pipe.
            shares: arguments, a process each.
        """
        spawn = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        for share in shares:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=body, args=(*share, theirs), daemon=True)
            process.start()
            self._lines.append(ours)
            self._processes.append(process)

    def ask(self, *order: object) -> list[Any]:
        """Return what each process answers."""
        for line in self._lines:
            line.send(list(order))
        return [line.recv() for line in self._lines]

    def tell_first(self, *order: object) -> None:
        """Give an order to one process only."""
        self._lines[0].send(list(order))
        self._lines[0].recv()

    def end(self) -> None:
        """Stop them."""
        for process in self._processes:
            process.terminate()
            process.join()


class Operator:
    """Somebody with the control contract."""

    def __init__(self, server: Server) -> None:
        """Take the first admin token."""
        self.channel = grpc.insecure_channel(server.address, options=(("grpc.max_reconnect_backoff_ms", 100),))
        token = (server.data / "first-admin-token").read_text(encoding="ascii").strip()
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.stub = control_pb2_grpc.ControlServiceStub(self.channel)

    def ask(self, method: str, request: object) -> Any:  # noqa: ANN401 - the stub's own answer
        """Call, waiting for a server that is starting."""
        return getattr(self.stub, method)(request, metadata=self.metadata, wait_for_ready=True, timeout=60)

    def apply(self, trees: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - the stub's own answer
        """Apply documents."""
        documents = [
            pb.Document(kind=tree["kind"], key=tree["metadata"]["key"], json=json.dumps(tree)) for tree in trees
        ]
        return self.ask("Apply", pb.ApplyRequest(documents=documents, intent=pb.Intent(reason="to be measured")))

    def sdk_token(self) -> str:
        """Return a new token for SDKs."""
        return str(self.ask("CreateToken", pb.CreateTokenRequest(role="sdk", person="bench")).secret)


def until(reached: Callable[[], bool], what: str, within_s: float = 180) -> None:
    """Wait.

    Raises:
        TimeoutError: it did not come so far.
    """
    end = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def show(text: str) -> None:
    """Say how far it is, on a terminal or in a log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile; of few values the 99th is the largest."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def machine() -> str:
    """Return where and when this was measured, in a line."""
    now, load = datetime.now(UTC), os.getloadavg()[1]
    kind = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{now:%Y-%m-%d}; {os.cpu_count()} cores for server and streams together, {kind}, load {load:.1f}."


def write(name: str, text: str) -> None:
    """Put figures between the markers of their name in the page."""
    begin, page = f"<!-- measured: {name} -->", PAGE.read_text(encoding="utf-8")
    head, rest = page.split(begin, 1)
    tail = rest.split(END, 1)[1]
    PAGE.write_text(f"{head}{begin}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
