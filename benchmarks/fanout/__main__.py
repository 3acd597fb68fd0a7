"""How far one server reaches: a change to thousands of streams, what each costs, and a storm of reconnects.

python -m benchmarks.fanout [--streams 1000 10000] [--rounds 30] [--write]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fanout.crowd import serve
from benchmarks.own_server import PAGE, Operator, Processes, Server, machine, percentile, show, until, write

PROCESSES = 2
SETTINGS = {"log_level": "error", "http_listen": ""}
FLAG = "changing"
REST_S = 1.0
SETTLED_S = 5.0
_CHANGE_BYTES = 300
BUDGETS = {1_000: 50, 10_000: 1_000}
BUDGET_KIB = 25


@dataclass
class Figures:
    """What was measured of one crowd.

    Attributes:
        streams: how many.
        opened_s: from the first dial to the last stream that was spoken to, all dialling at once.
        opened_lost: connections that were taken and broke before a word was said, until then.
        kib: memory of the server for each stream, of which nothing was heard but hello.
        used_kib: the same after all changes and acknowledgements.
        last_ms: from a change's commit to its arrival at the last stream, a round each.
        each_ms: the same for each stream of each round.
        answer_ms: from the call to the answer of whoever wrote the change, a round each.
        returned_s: from the restart's first accept after SIGKILL to the last stream that was spoken to.
        returned_lost: as `opened_lost`, after the restart.
    """

    streams: int
    opened_s: float = 0.0
    opened_lost: int = 0
    kib: float = 0.0
    used_kib: float = 0.0
    last_ms: list[float] = field(default_factory=list)
    each_ms: list[float] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)
    returned_s: float = 0.0
    returned_lost: int = 0


class Listeners(Processes):
    """Streams that note when a revision arrives."""

    def __init__(self, server: Server, token: str, streams: int) -> None:
        """Dial."""
        names = [f"stream-{number}" for number in range(streams)]
        super().__init__(serve, [(server.port, token, names[number::PROCESSES]) for number in range(PROCESSES)])

    def heard(self) -> tuple[int, int]:
        """Return how many streams were spoken to on their present connection, and how many were ever lost."""
        heard, lost = zip(*self.ask("heard"), strict=True)
        return sum(heard), sum(lost)

    def lags_ms(self, revision: int) -> list[float]:
        """Return from commit to arrival of a revision, for each stream that has it."""
        return [lag for part in self.ask("arrived", revision) for lag in part]


def resident_kib(pid: int) -> int:
    """Return how much memory a process has in use."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def changed(number: int) -> dict[str, Any]:
    """Return the flag as of a round: some `_CHANGE_BYTES` on the wire, other ones each time."""
    units = [f"user-{number:06}-{at:02}" for at in range(_CHANGE_BYTES // 18)]
    return {"kind": "Flag", "metadata": {"key": FLAG}, "spec": {"targets": {"on": units}}}


def measure(streams: int, rounds: int) -> Figures:
    """Open, change, kill and come back."""
    figures = Figures(streams)
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "data", SETTINGS)
        server.start()
        operator = Operator(server)
        operator.apply([changed(0)])
        token = operator.sdk_token()
        time.sleep(SETTLED_S)
        empty_kib = resident_kib(server.pid)
        began = time.monotonic()
        crowds = Listeners(server, token, streams)
        try:
            until(lambda: crowds.heard()[0] == streams, "every stream is spoken to")
            figures.opened_s, figures.opened_lost = time.monotonic() - began, crowds.heard()[1]
            show(f"{streams} streams opened in {figures.opened_s:.1f} s")
            time.sleep(SETTLED_S)
            figures.kib = (resident_kib(server.pid) - empty_kib) / streams
            for number in range(1, rounds + 1):
                change(operator, crowds, number, figures)
            time.sleep(SETTLED_S)
            figures.used_kib = (resident_kib(server.pid) - empty_kib) / streams
            figures.returned_s, figures.returned_lost = storm(server, crowds, streams)
        finally:
            crowds.end()
            server.stop()
    return figures


def change(operator: Operator, crowds: Listeners, number: int, figures: Figures) -> None:
    """Write one change, and wait until every stream has it."""
    began = time.monotonic()
    revision = operator.apply([changed(number)]).position.revision
    figures.answer_ms.append((time.monotonic() - began) * 1_000)
    time.sleep(REST_S)  # nobody asks while it spreads
    until(lambda: len(crowds.lags_ms(revision)) == figures.streams, f"revision {revision} is everywhere")
    lags_ms = crowds.lags_ms(revision)
    figures.each_ms += lags_ms
    figures.last_ms.append(max(lags_ms))
    if number % 10 == 0:
        show(f"{figures.streams} streams, change {number}: at the last one after {max(lags_ms):.0f} ms")


def storm(server: Server, crowds: Listeners, streams: int) -> tuple[float, int]:
    """Kill the server, start it again, and return how long after its first accept all were spoken to, and the losses.

    A process that dies with 10,000 sockets takes a fifth of a second, and its kernel a few dials meanwhile: of those
    nobody could hear, and they are not the losses of whoever comes after it.
    """
    server.stop()
    until(lambda: crowds.heard()[0] == 0, "every stream noticed")
    before = crowds.heard()[1]
    server.start()
    accepted = time.monotonic()
    until(lambda: crowds.heard()[0] == streams, "every stream came back")
    took_s = time.monotonic() - accepted
    show(f"{streams} streams back {took_s:.1f} s after the restart")
    return took_s, crowds.heard()[1] - before


def table(crowds: Sequence[Figures]) -> str:
    """Return the figures in Markdown, with the machine."""

    def both(values: Sequence[float]) -> str:
        return f"{percentile(values, 50):,.0f} / {percentile(values, 99):,.0f} ms"

    def budget(one: Figures) -> str:
        most_ms = BUDGETS.get(one.streams)
        return f", budget {most_ms:,} ms" if most_ms else ""

    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("a change at the last stream, p50 / p99", lambda one: both(one.last_ms) + budget(one)),
        ("the same, every stream", lambda one: both(one.each_ms)),
        ("the answer to whoever wrote it", lambda one: both(one.answer_ms)),
        ("memory of the server, a stream", lambda one: f"{one.kib:.1f} KiB, budget {BUDGET_KIB}"),
        ("the same after the changes", lambda one: f"{one.used_kib:.1f} KiB"),
        ("all dialled at once: the last one served", lambda one: f"{one.opened_s:.1f} s, {one.opened_lost} lost"),
        ("back after SIGKILL and restart", lambda one: f"{one.returned_s:.1f} s, {one.returned_lost} lost"),
    ]
    lines = [f"| streams | {' | '.join(f'{one.streams:,}' for one in crowds)} |", "|---" * (len(crowds) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(value, crowds))} |" for name, value in rows]
    rounds = len(crowds[0].last_ms)
    lines += ["", f"{machine()} {rounds} changes of some {_CHANGE_BYTES} bytes each."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--write", action="store_true", help=f"put the figures into {PAGE.name}")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    text = table([measure(streams, options.rounds) for streams in options.streams])
    print(text)
    if options.write:
        write("fanout", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
