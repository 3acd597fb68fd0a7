"""A real Prometheus that scrapes a real process with counters.

The program is `$PROMETHEUS`, or the `prometheus` on PATH. Where there is none, tests are skipped with a sentence; with
ROLLOUT_REQUIRE_REAL set, as in CI, they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

SCRAPED_EVERY_MS = 250
_WITHIN_S = 20.0
_AGAIN_S = 0.02
_EXPORTER = Path(__file__).with_name("counting_exporter.py")
_MISSING = (
    "no Prometheus to test with; on Debian and Ubuntu: apt-get install --no-install-recommends prometheus "
    "(or name the program in PROMETHEUS)"
)


def program() -> str:
    """Return the path of a Prometheus, or skip (in CI: fail) the test."""
    found = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if found:
        return found
    if os.environ.get("ROLLOUT_REQUIRE_REAL"):
        pytest.fail(_MISSING)
    pytest.skip(_MISSING)


def until(is_so: Callable[[], bool], what: str) -> None:
    """Ask again and again until something is so; a machine that is far too slow fails with the sentence."""
    give_up_s = time.monotonic() + _WITHIN_S
    while not is_so():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(_AGAIN_S)


@dataclass
class Exporter:
    """A process with counters. `count` returns when they are counted; `restart` begins at nothing, at the same port."""

    port: int = 0
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_EXPORTER), str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._read())

    def count(self, *counts: tuple[str, dict[str, str], float | None]) -> None:
        """Add to counters; None makes one NaN. All of one call are in the same scrape or in none."""
        assert self._process is not None
        assert self._process.stdin is not None
        told = [{"name": name, "labels": labels, "by": by} for name, labels, by in counts]
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        assert self._read() == "counted\n"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _read(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def exporting() -> Iterator[Exporter]:
    """Yield a running exporter."""
    exporter = Exporter()
    exporter.start()
    try:
        yield exporter
    finally:
        exporter.stop()


@dataclass
class RealPrometheus:
    """One server; `hang` and `wake` stop and continue its process."""

    url: str
    client: httpx2.Client
    process: subprocess.Popen[bytes] = field(repr=False)

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def newest(self, selector: str) -> dict[str, tuple[int, float]]:
        """Return time (ms) and value of the newest sample of each series, by its labels."""
        answer = self.client.post(f"{self.url}/api/v1/query", data={"query": f"{selector}[1m]"})
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return {
            json.dumps(one["metric"], sort_keys=True): (
                round(one["values"][-1][0] * 1_000),
                float(one["values"][-1][1]),
            )
            for one in found
        }

    def sees(self, selector: str, value: float) -> int:
        """Wait until the series of a selector add up to a value; return when the newest was scraped."""
        newest_ms = 0

        def is_there() -> bool:
            nonlocal newest_ms
            seen = self.newest(selector).values()
            newest_ms = max((at_ms for at_ms, _ in seen), default=0)
            return bool(seen) and sum(number for _, number in seen) == value

        until(is_there, f"{selector} = {value}")
        return newest_ms

    def scraped_after(self, selector: str, at_ms: int) -> int:
        """Wait for a sample that is newer; return when it was scraped."""
        newest_ms = 0

        def is_newer() -> bool:
            nonlocal newest_ms
            newest_ms = max((at for at, _ in (self.newest(selector)).values()), default=0)
            return newest_ms > at_ms

        until(is_newer, f"a sample of {selector} after {at_ms}")
        return newest_ms


@contextmanager
def prometheus(
    directory: Path, ports: Sequence[int] = (), *, job: str = "shop", rules: Sequence[Path] = ()
) -> Iterator[RealPrometheus]:
    """Run a Prometheus that scrapes these ports of this machine, and goes by these rules; yield it when it is ready."""
    targets = [f"127.0.0.1:{port}" for port in ports]
    every = f"{SCRAPED_EVERY_MS}ms"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": targets}]}],
    }
    written = directory / "prometheus.yml"
    written.write_text(json.dumps(config))  # JSON is YAML
    port = _free_port()
    options = ["--storage.tsdb.path", str(directory / "data"), "--web.listen-address", f"127.0.0.1:{port}"]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program(), "--config.file", str(written), *options], stdout=log, stderr=log)
    with httpx2.Client(trust_env=False) as client:
        real = RealPrometheus(f"http://127.0.0.1:{port}", client, process)

        def is_ready() -> bool:
            assert process.poll() is None, (directory / "prometheus.log").read_text()
            try:
                return (client.get(f"{real.url}/-/ready")).is_success
            except httpx2.TransportError:
                return False

        try:
            until(is_ready, "Prometheus to be ready")
            yield real
        finally:
            real.wake()
            real.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
