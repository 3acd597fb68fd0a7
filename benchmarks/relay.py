"""What a relay adds, and what processes behind relays cost the server that they count at.

python -m benchmarks.relay [--streams 1000] [--rounds 20] [--seats 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import gzip
import json
import os
import platform
import resource
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.capabilities import CAPABILITIES
from rollout_sdk.engine.model import Flag, Position, Rule, Split, ValueType, Variant, Weight
from rollout_sdk.wire.codec import record_of_flag
from rollout_sdk.wire.delivery import read_response, write_acknowledgement, write_greeting
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Part
from rollout_sdk.wire.relaying import Joined, News, Tokens, read_relay_file, write_news, write_relay_file
from rollout_sdk.wire.snapshot import pack
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc, delivery_pb2_grpc, telemetry_pb2, telemetry_pb2_grpc
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.app.behind_relay import BehindRelay
from rollout_server.app.instances import Instances
from rollout_server.app.record_log import Mark, RecordLog
from rollout_server.app.relayed import RelayedFeed
from rollout_server.app.roster import NEWS_MAX

CHANNELS = 20
FLAGS = 5_000
REPORTS = 2_000
AT_ONCE = 32
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = resource.getpagesize() / 1_024
HERE = Position("e1", 7, b"d" * 32)
Metadata = tuple[tuple[str, str], ...]


def rss_kib(pid: int | str = "self") -> float:
    """Return the memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_KIB


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that such a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def say(what: str, figure: str) -> None:
    """Print a row."""
    sys.stdout.write(f"{what:<64} {figure}\n")


def free_port() -> int:
    """Return a port that nobody holds now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    """Print the processor time of what is done inside, for each of so many."""
    began = time.process_time()
    yield
    say(what, f"{(time.process_time() - began) * 1e6 / count:.1f} us")


# ------------------------------------------------------------------------------------ what processes cost upstream


def joined(number: int) -> Joined:
    """Return a process as the SDK of this release greets."""
    said = Greeting(
        os.urandom(16).hex(), "0.1.0", tuple(sorted(CAPABILITIES)), "checkout", f"checkout-{number:06}", 7, HERE
    )
    return Joined(number, "0a1b2c3d", said, 60_000)


def seats(count: int) -> None:
    """Measure one process that seats so many, as one stream of a relay after the other would."""
    mark = Mark(HERE.digest, b"r" * 32, 0)
    instances = Instances(SystemClock(), lambda: HERE, lambda _: mark, frozenset, count)
    behind = BehindRelay("eu-west", instances, SystemClock(), lambda _: True)
    many = tuple(joined(number) for number in range(1, NEWS_MAX + 1))
    roster = write_news(News(many))
    say(
        "a process in a roster, as bytes; compressed",
        f"{len(roster) / NEWS_MAX:.0f}; {len(gzip.compress(roster, 6)) / NEWS_MAX:.0f}",
    )
    word = Acknowledgement(HERE, b"r" * 32)
    acks = write_news(News(acknowledged=((word, tuple(range(1, NEWS_MAX + 1))),)))
    say("an acknowledgement in a thousand, as bytes", f"{len(acks) / NEWS_MAX:.1f}")
    del many, roster
    gc.collect()
    before = rss_kib()
    shared = tuple(sorted(CAPABILITIES))
    with timed("upstream's processor time to seat a process, with making it up", count):
        for number in range(1, count + 1):
            said = Greeting(f"{number:032x}", "0.1.0", shared, "checkout", f"checkout-{number:06}", 7, HERE)
            list(behind.take(News((Joined(number, "0a1b2c3d", said, 60_000),))))
    say("upstream's memory for a process behind a relay", f"{(rss_kib() - before) / count:.2f} KiB")
    with timed("upstream's processor time for an acknowledgement", count):
        list(behind.take(News(acknowledged=((word, tuple(range(1, count + 1))),))))
    with timed("a certificate, for each process in it", count):
        instances.certificate(7)


# --------------------------------------------------------------------------------------------- what a relay holds


def rulesets() -> None:
    """Measure a relay that takes, keeps and recalls a whole ruleset, and then one change of it."""
    log = RecordLog(Position("e1", 0))
    for version in range(1, FLAGS + 1):
        put(log, version, version)
    whole = log.parts_since(None)
    feed, again = RelayedFeed(), RelayedFeed()
    with timed(f"a relay's processor time to take {FLAGS} flags, each", FLAGS):
        feed.take(whole, 0)
    with timed("the same, to write them to its file", FLAGS):
        chunks, records = feed.everything()
        file = write_relay_file(pack(feed.position, records, chunks), Tokens("production", ()), 0)
    with timed("the same, to read them again", FLAGS):
        again.recall(read_relay_file(file)[0], 0)
    say("its file", f"{len(file) / 1e6:.2f} MB")
    held = feed.position
    put(log, FLAGS + 1, 1)
    delta = log.parts_since(held)
    with timed("a relay's processor time to take one change", 1):
        feed.take(delta, 0)


def put(log: RecordLog, version: int, number: int) -> None:
    """Put a flag with a rule in."""
    rule = Rule("staff", Split((Weight("on", 250_000), Weight("off", 750_000))))
    key, variants = f"flag-{number:05}", (Variant("on", value=True), Variant("off", value=False))
    flag = Flag(key, ValueType.BOOLEAN, variants, "off", "off", salt16(key), rules=(rule,))
    log.put(record_of_flag(flag, version), version)
    log.stand(Position("e1", version, b"d" * 32), 0)


# ------------------------------------------------------------------------------------------------ over real gRPC


@asynccontextmanager
async def server(data: Path, **options: object) -> AsyncIterator[tuple[str, int]]:
    """A server in a process of its own: its address and process id."""
    address = f"127.0.0.1:{free_port()}"
    variables = {f"ROLLOUT_{name.upper()}": str(value) for name, value in options.items()}
    given = {"ROLLOUT_DATA": str(data), "ROLLOUT_LISTEN": address, "ROLLOUT_HTTP_LISTEN": "", **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout_server", "serve", env={**os.environ, "ROLLOUT_LOG_LEVEL": "error", **given}
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
        yield address, process.pid
    finally:
        process.terminate()
        await process.wait()


def bearer(token: str) -> Metadata:
    """Return a token as metadata."""
    return (("authorization", f"Bearer {token}"),)


class Crowd:
    """Streams that acknowledge what they get, as SDKs do; they decide nothing."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.moved = asyncio.Condition()

    async def stream(self, channel: grpc.aio.Channel, metadata: Metadata, number: int) -> None:
        """Be one process, until cancelled."""
        call = delivery_pb2_grpc.DeliveryServiceStub(channel).Watch(metadata=metadata)
        await call.write(
            write_greeting(Greeting(f"{number:032x}", "0.1.0", tuple(sorted(CAPABILITIES)), "crowd", "here", number))
        )
        self.revisions.append(0)
        place = len(self.revisions) - 1
        async for response in call:
            message = read_response(response)
            if isinstance(message, Part) and not message.more:
                await call.write(write_acknowledgement(Acknowledgement(message.position, message.ruleset_digest)))
                self.revisions[place] = message.position.revision
                if min(self.revisions) >= message.position.revision:
                    async with self.moved:
                        self.moved.notify_all()

    async def reach(self, revision: int, count: int) -> None:
        """Return once so many streams have this revision."""
        async with self.moved:
            await self.moved.wait_for(lambda: len(self.revisions) == count and min(self.revisions) >= revision)


async def relayed(data: Path, streams: int, rounds: int) -> None:
    """Measure changes that pass a relay to so many streams, and are certified upstream."""
    async with server(data / "upstream") as (upstream, upstream_pid), grpc.aio.insecure_channel(upstream) as channel:
        admin = bearer((data / "upstream" / "first-admin-token").read_text(encoding="ascii").strip())
        stub = control_pb2_grpc.ControlServiceStub(channel)
        secrets = {}
        for role in ("relay", "sdk"):
            request = pb.CreateTokenRequest(role=role, person="benchmark")
            secrets[role] = (await stub.CreateToken(request, metadata=admin)).secret
        options = {"upstream": upstream, "upstream_token": secrets["relay"], "relay_name": "eu"}
        async with server(data / "relay", **options) as (address, relay_pid):
            channels = [grpc.aio.insecure_channel(address, (("local", number),)) for number in range(CHANNELS)]
            crowd, before = Crowd(), rss_kib(upstream_pid)
            sdk = bearer(secrets["sdk"])
            tasks = [
                asyncio.create_task(crowd.stream(channels[number % CHANNELS], sdk, number)) for number in range(streams)
            ]
            head = (await stub.GetStatus(pb.GetStatusRequest(), metadata=admin)).position.revision
            await crowd.reach(head, streams)
            await certified(stub, admin, head, streams)
            grown = (rss_kib(upstream_pid) - before) / streams
            say("upstream's memory for each of them, over gRPC", f"{grown:.2f} KiB")
            arrived, proven = [], []
            busy = cpu_s(upstream_pid), cpu_s(relay_pid)
            for number in range(rounds):
                began = time.perf_counter()
                answer = await change(stub, admin, number)
                await crowd.reach(answer.entry.revision, streams)
                arrived.append((time.perf_counter() - began) * 1e3)
                await certified(stub, admin, answer.entry.revision, streams)
                proven.append((time.perf_counter() - began) * 1e3)
            for name, times in (("the last stream", arrived), ("a whole certificate", proven)):
                say(
                    f"from the command to {name}, p50; largest of {rounds}",
                    f"{percentile(times, 0.5):.0f} ms; {max(times):.0f} ms",
                )
            say(
                "processor time of a change for each stream: upstream; relay",
                f"{(cpu_s(upstream_pid) - busy[0]) * 1e6 / rounds / streams:.0f} us; "
                f"{(cpu_s(relay_pid) - busy[1]) * 1e6 / rounds / streams:.0f} us",
            )
            await reports(channels[0], sdk, upstream_pid, relay_pid)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def change(stub: control_pb2_grpc.ControlServiceAsyncStub, admin: Metadata, number: int) -> pb.ApplyResponse:
    """Change a flag a little."""
    tree = {
        "kind": "Flag",
        "metadata": {"key": "changing"},
        "spec": {"default": "off", "targets": {"on": [f"u-{number}"]}},
    }
    document = pb.Document(kind="Flag", key="changing", json=json.dumps(tree))
    return await stub.Apply(pb.ApplyRequest(documents=[document]), metadata=admin)


async def certified(stub: control_pb2_grpc.ControlServiceAsyncStub, admin: Metadata, revision: int, count: int) -> None:
    """Ask until so many processes have the revision in force, twenty times a second as somebody who waits would."""
    while True:
        answer = await stub.ListInstances(pb.ListInstancesRequest(), metadata=admin)
        if sum(one.in_force.revision >= revision for one in answer.instances) >= count:
            return
        await asyncio.sleep(0.05)


async def reports(channel: grpc.aio.Channel, sdk: Metadata, upstream_pid: int, relay_pid: int) -> None:
    """Measure reports that say no more than that a process lives: the least that one costs."""
    stub = telemetry_pb2_grpc.TelemetryServiceStub(channel)
    busy, began, room = (cpu_s(upstream_pid), cpu_s(relay_pid)), time.perf_counter(), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            await stub.Report(telemetry_pb2.ReportRequest(instance_id=f"{number:032x}", sequence=1), metadata=sdk)

    await asyncio.gather(*(one(number) for number in range(REPORTS)))
    say("empty reports through a relay, a second", f"{REPORTS / (time.perf_counter() - began):.0f}")
    spent_us = (
        (cpu_s(pid) - since) * 1e6 / REPORTS for pid, since in zip((upstream_pid, relay_pid), busy, strict=True)
    )
    say("processor time of an empty report: upstream; relay", "; ".join(f"{each:.0f} us" for each in spent_us))


def main() -> None:
    """Measure, and say what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seats", type=int, default=100_000)
    given = parser.parse_args()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    say("system", f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    say("Python; load", f"{platform.python_version()}; {load}")
    rulesets()
    seats(given.seats)
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(relayed(Path(data), given.streams, given.rounds))


if __name__ == "__main__":
    main()
