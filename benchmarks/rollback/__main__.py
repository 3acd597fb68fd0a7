"""From a degraded verdict's commit until every one of 1,000 streams is back at the old variant; and through a crash.

python -m benchmarks.rollback [--streams 1000] [--rounds 25] [--at-once 5] [--crashes 10] [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks.own_server import PAGE, Operator, Processes, Server, machine, percentile, show, until, write
from benchmarks.rollback.streams import STEADY_AFTER_S, Obeyed, serve
from rollout_sdk.wire.v1 import control_pb2 as pb

PROCESSES = 4
BUDGET_MS = 500
STAGGER_S = 1.5
SETTINGS = {"window_ms": 1_000, "report_every_ms": 500, "tick_ms": 500, "log_level": "error", "http_listen": ""}


@dataclass
class Figures:
    """What was measured, in milliseconds.

    Attributes:
        acknowledged: from the commit to the last acknowledgement, a round each, by the server's clock.
        served: from the tick that decided to the last stream that serves the old variant, a round each.
        each: the same for each stream of each round.
        restarted: from the process's start to its first accepted connection, a crash each.
        after: from that to the last stream that serves the old variant, a crash each.
        redialled: from a stream's own dialling to the old variant served, each stream that heard of it after a crash.
    """

    acknowledged: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    each: list[float] = field(default_factory=list)
    restarted: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    redialled: list[float] = field(default_factory=list)


class Obedient(Processes):
    """Streams that note when a rollout is back at its old variant."""

    def __init__(self, address: str, token: str, streams: int) -> None:
        """Start them."""
        self.streams = streams
        counts = [streams // PROCESSES + (number < streams % PROCESSES) for number in range(PROCESSES)]
        super().__init__(serve, [(address, token, count, number) for number, count in enumerate(counts)])

    def until_exposing(self, rollout: str) -> None:
        """Wait until every stream serves the new variant to somebody."""
        until(lambda: sum(self.ask("exposing", rollout)) == self.streams, f"{rollout} is exposed everywhere")

    def until_obeyed(self, rollout: str) -> None:
        """Wait until every stream is back at the old variant."""
        until(lambda: len(self.obeyed(rollout)) == self.streams, f"{rollout} is rolled back everywhere")

    def obeyed(self, rollout: str) -> list[Obeyed]:
        """Return when each stream was back, as far as they are."""
        return [Obeyed(*one) for part in self.ask("obeyed", rollout) for one in part]


def start(operator: Operator, key: str) -> None:
    """Start a rollout."""
    intent = pb.Intent(reason="to be measured")
    operator.ask("StartRollout", pb.StartRolloutRequest(rollout=key, intent=intent, allow_unsupported=True))


def _trees(key: str) -> list[dict[str, Any]]:
    failed = {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}
    guardrails = [{"metric": f"{key}.failed", "limit": "+50%", "action": "rollback"}]
    pipeline = {"stages": [{"name": "half", "share": "50%", "soak": "1h"}], "guardrails": guardrails}
    moves = {"flag": key, "from": "off", "to": "on", "pipeline": key}
    specs = {
        "Metric": failed,
        "Pipeline": pipeline,
        "Flag": {"rules": [{"id": "launch", "rollout": key}]},
        "Rollout": moves,
    }
    names = {"Metric": f"{key}.failed"}
    return [{"kind": kind, "metadata": {"key": names.get(kind, key)}, "spec": spec} for kind, spec in specs.items()]


def by_verdict(operator: Operator, crowd: Obedient, keys: Sequence[str], at_once: int, figures: Figures) -> None:
    """Let each rollout be rolled back by its guardrail, and measure the way to every stream; so many run at once."""
    for number, key in enumerate(keys):
        if number % at_once == 0:
            for other in keys[number : number + at_once]:
                start(operator, other)
                time.sleep(STAGGER_S)
        crowd.until_obeyed(key)
        found = operator.ask("GetCertificate", pb.GetCertificateRequest(target=key)).certificate
        if found.trigger.who != "engine":
            raise AssertionError(f"{key} was rolled back by {found.trigger.who}")
        at = [(one.at - found.entry.at_ms / 1_000) * 1_000 for one in crowd.obeyed(key)]
        figures.each += at
        figures.served.append(max(at))
        figures.acknowledged.append(found.last_ack_ms)
        show(f"verdict {number + 1} of {len(keys)}: last acknowledgement after {found.last_ack_ms} ms")


def through_crash(server: Server, operator: Operator, crowd: Obedient, keys: Sequence[str], figures: Figures) -> None:
    """Roll back by hand, kill the server as the first stream hears of it, start it again, and measure the rest."""
    for number, key in enumerate(keys, start=1):
        time.sleep(STEADY_AFTER_S)  # an SDK is shier of a server that breaks again soon
        start(operator, key)
        crowd.until_exposing(key)
        crowd.tell_first("kill", key, server.pid)
        with contextlib.suppress(grpc.RpcError):
            operator.stub.Rollback(pb.RollbackRequest(rollout=key), metadata=operator.metadata, timeout=10)
        server.wait()
        before = len(crowd.obeyed(key))
        began = time.time()
        accepted = server.start()
        crowd.until_obeyed(key)
        late = [one for one in crowd.obeyed(key) if one.at >= began]
        figures.restarted.append((accepted - began) * 1_000)
        figures.after.append((max(one.at for one in late) - accepted) * 1_000 if late else 0.0)
        figures.redialled += [(one.at - one.dialled_at) * 1_000 for one in late]
        show(f"crash {number} of {len(keys)}: {before} knew before it, all after {figures.after[-1]:.0f} ms")


@contextlib.contextmanager
def shop(server: Server, token: str, home: Path, keys: Sequence[str]) -> Iterator[None]:
    """A process that reports."""
    arguments = [str(Path(__file__).with_name("shop.py")), server.address, token, str(home / "shop"), ",".join(keys)]
    process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(streams: int, rounds: int, at_once: int, crashes: int) -> Figures:
    """Run it all."""
    figures = Figures()
    verdicts, stops = ([f"{name}-{at:02}" for at in range(count)] for name, count in (("v", rounds), ("c", crashes)))
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        server = Server(home / "data", SETTINGS)
        server.start()
        operator = Operator(server)
        operator.apply([tree for key in (*verdicts, *stops) for tree in _trees(key)])
        token = operator.sdk_token()
        crowd = Obedient(server.address, token, streams)
        try:
            until(lambda: sum(crowd.ask("connected")) == streams, "every stream is connected")
            with shop(server, token, home, verdicts):
                by_verdict(operator, crowd, verdicts, at_once, figures)
            through_crash(server, operator, crowd, stops, figures)
        finally:
            crowd.end()
            server.stop()
    return figures


def table(figures: Figures, streams: int, at_once: int) -> str:
    """Return the figures in Markdown, with the machine."""
    rows = [
        (f"degraded verdict's commit to the last of {streams:,} acknowledgements", figures.acknowledged, "rounds"),
        ("the tick that decided to the last stream at the old variant", figures.served, "rounds"),
        ("the same, every stream", figures.each, "streams"),
        ("killed after the commit: first accept of the restart to the last stream", figures.after, "crashes"),
        ("the same, every stream from its own dialling", figures.redialled, "streams"),
        ("start of the process to its first accept, not in the above", figures.restarted, "crashes"),
    ]
    lines = ["| from, to | p50 | p99 | largest | of |", "|---|---|---|---|---|"]
    for what, values, of in rows:
        if values:
            found = (percentile(values, 50), percentile(values, 99), max(values))
            lines.append(f"| {what} | {' | '.join(f'{value:,.0f} ms' for value in found)} | {len(values):,} {of} |")
    lines += [
        "",
        f"{machine()} {at_once} guarded rollouts at a time, ticks {SETTINGS['tick_ms']} ms apart. The budget for the",
    ]
    lines += [f"first row is {BUDGET_MS} ms at p99."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--at-once", type=int, default=5, help="guarded rollouts under way at the same time")
    parser.add_argument("--crashes", type=int, default=10)
    parser.add_argument("--write", action="store_true", help=f"put the figures into {PAGE.name}")
    options = parser.parse_args(arguments)
    figures = measure(options.streams, options.rounds, options.at_once, options.crashes)
    text = table(figures, options.streams, options.at_once)
    print(text)
    if options.write:
        write("rollback", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
