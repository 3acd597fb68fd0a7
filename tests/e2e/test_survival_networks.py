"""Bad networks, with real sockets between a real client and a scripted server. Nothing here asserts a time."""

from __future__ import annotations

import contextlib
import itertools
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk import Client, Context, Decision, Settings
from rollout_sdk.wire.delivery import read_position
from rollout_sdk.wire.snapshot import pack
from tests.doubles.delivery_server import DeliveryServer, Stream, bookmark, record, update
from tests.doubles.tcp_proxy import TcpProxy
from tests.programs import environment, run
from tests.small_rules import boolean, position

WAIT_S = 20
USER = Context("u-1")
ON, OFF = record(boolean("a"), 1), record(boolean("a", on=False), 2)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        threading.Event().wait(0.002)


def hasty(target: str, **given: Any) -> Settings:
    """Settings of a client that does not make a test wait."""
    return replace(Settings(target, backoff_base_ms=1, backoff_max_ms=5), **given)


@pytest.fixture
def server() -> Iterator[DeliveryServer]:
    with DeliveryServer() as server:
        yield server


@pytest.fixture
def proxy(server: DeliveryServer) -> Iterator[TcpProxy]:
    with TcpProxy(server.target) as proxy:
        yield proxy


def greeted(server: DeliveryServer) -> tuple[Stream, int | None]:
    """Return the next stream that lived long enough to say hello, and the revision that its client holds."""
    while (request := (stream := server.stream()).receive()) is None:
        continue
    held = request.hello.held
    return stream, read_position(held).revision if request.hello.HasField("held") else None


def held(server: DeliveryServer) -> Stream:
    """Bring a client to revision 1."""
    stream, _ = greeted(server)
    stream.send(update(position(1), [ON]))
    stream.acknowledged()
    return stream


def test_a_server_that_comes_later(tmp_path: Path) -> None:
    """The default until then; then the rules, without anybody's help."""
    path = f"unix:{tmp_path}/s"
    with Client.of(hasty(path)) as client:
        assert not client.wait_until_ready(0.05)
        assert client.enabled("a", USER, default=True) is True
        with DeliveryServer(address=path) as server:
            held(server)
            assert client.wait_until_ready(WAIT_S)
            assert client.decide("a", USER).revision == 1


def test_a_black_hole_in_the_middle(server: DeliveryServer, proxy: TcpProxy) -> None:
    """Bytes go nowhere and no connection breaks: it is noticed, said with its age, and mended when it can be."""
    settings = hasty(proxy.target, silence_timeout_ms=200, stale_after_ms=100, connect_timeout_ms=500)
    with Client.of(settings) as client:
        stream = held(server)
        fresh = client.decide("a", USER)
        assert fresh.confirmed_ms_ago is not None
        proxy.is_hole = True
        stream.send(update(position(2), [OFF], base=1, holding=[OFF]))
        until(lambda: client.decide("a", USER).stale)
        decision = client.decide("a", USER)
        assert (decision.value, decision.revision) == (True, 1)
        assert decision.confirmed_ms_ago is not None
        assert decision.confirmed_ms_ago >= 100
        assert fresh.confirmed_ms_ago >= 100  # who kept a decision from before is told, too
        status = client.status()
        assert status.stale
        assert status.confirmed_ms_ago is not None
        assert status.confirmed_ms_ago >= 100
        until(lambda: not client.status().connected)
        proxy.is_hole = False
        proxy.cut()
        while True:
            again, revision = greeted(server)
            assert revision == 1
            again.send(update(position(2), [OFF], base=1, holding=[OFF]))
            if again.receive() is not None:
                break
        until(lambda: not client.decide("a", USER).stale)
        assert client.decide("a", USER).revision == 2


def test_a_line_that_drips(server: DeliveryServer, proxy: TcpProxy) -> None:
    """Where the rules take longer than anybody waits for a dead server, each attempt is given more time."""
    proxy.drip_bytes = 64
    rules = [ON, *(record(boolean(f"flag-{number}"), 1) for number in range(200))]
    with Client.of(hasty(proxy.target, connect_timeout_ms=40)) as client:
        served: list[Stream] = []

        def serve() -> None:
            with contextlib.suppress(queue.Empty):  # nobody comes any more
                while True:
                    stream = server.stream()
                    if stream.receive() is not None:
                        stream.send(update(position(1), rules))
                        served.append(stream)

        threading.Thread(target=serve, daemon=True).start()
        assert client.wait_until_ready(WAIT_S)
        assert len(client.decide_all(USER)) == len(rules)
        assert len(served) > 1


def next_revision(server: DeliveryServer, number: int) -> Stream:
    """Serve whoever comes next with revision `number`, as a delta if it can be one."""
    stream, revision = greeted(server)
    rules = [record(boolean("a", on=number % 2 == 1), number)]
    if revision is not None and revision < number:
        stream.send(update(position(number), rules, base=revision, holding=rules))
    elif revision is None:
        stream.send(update(position(number), rules))
    else:
        stream.send(bookmark(position(number), rules))
    return stream


@pytest.mark.parametrize("cuts", [20, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_proxy_that_cuts_each_stream_after_a_while(server: DeliveryServer, proxy: TcpProxy, cuts: int) -> None:
    """Each stream lives for one change: every change arrives, each after the last, and by delta."""
    seen: list[int] = []
    with Client.of(hasty(proxy.target)) as client:
        client.on_change(lambda _: seen.append(client.decide("a", USER).revision))
        for number in range(1, cuts + 1):
            stream = next_revision(server, number)
            stream.acknowledged()
            assert client.decide("a", USER).revision == number
            assert client.enabled("a", USER) is (number % 2 == 1)
            proxy.cut()
    assert seen == sorted(seen)


@pytest.mark.parametrize("rounds", [30, pytest.param(1_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_line_that_flaps(server: DeliveryServer, proxy: TcpProxy, rounds: int) -> None:
    """Cut at any moment, in the middle of an update too: what decides never goes back, and ends up right."""
    decisions: list[Decision] = []
    stop = threading.Event()
    with Client.of(hasty(proxy.target)) as client:

        def watch() -> None:
            while not stop.is_set():
                decisions.append(client.decide("a", USER))
                stop.wait(0.001)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(1, rounds + 1):
            next_revision(server, number)
            threading.Event().wait(0.0005 * (number % 7))
            proxy.cut()
        while client.decide("a", USER).revision < rounds:
            next_revision(server, rounds)
            until(lambda: client.status().connected)
        stop.set()
        watcher.join()
        revisions = [one.revision for one in [*decisions, client.decide("a", USER)]]
        assert all(before <= after for before, after in itertools.pairwise(revisions))
        assert client.enabled("a", USER) is (rounds % 2 == 1)


FLEET = """
import sys, threading
from tests.doubles.fleet_server import serving_fleet
with serving_fleet() as fleet:
    print(fleet.target, flush=True)
    for line in sys.stdin:
        fleet.flip()
"""


def test_a_server_that_is_stopped_without_a_word() -> None:
    """SIGSTOP: the kernel still takes connections and bytes. Decisions go on, stale; after SIGCONT the change comes."""
    with subprocess.Popen(
        [sys.executable, "-c", FLEET],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment("", PYTHONPATH=str(Path.cwd())),
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        target = process.stdout.readline().strip()
        settings = hasty(target, silence_timeout_ms=200, stale_after_ms=100, connect_timeout_ms=300)
        with Client.of(settings) as client:
            assert client.wait_until_ready(WAIT_S)
            process.send_signal(signal.SIGSTOP)
            until(lambda: client.decide("a", USER).stale and not client.status().connected)
            assert client.enabled("a", USER) is True
            process.send_signal(signal.SIGCONT)
            process.stdin.write("flip\n")
            process.stdin.flush()
            until(lambda: client.decide("a", USER).value is False)
            until(lambda: not client.decide("a", USER).stale)
        process.kill()


def test_a_server_says_how_soon_its_clients_may_return(server: DeliveryServer, proxy: TcpProxy) -> None:
    """A client that alone would take up to ten minutes is back at once."""
    with Client.of(hasty(proxy.target, backoff_base_ms=600_000, backoff_max_ms=600_000)) as client:
        stream = held(server)
        message = bookmark(position(2), [ON])
        message.bookmark.reconnect_within_ms = 1
        stream.send(message)
        stream.acknowledged()
        proxy.cut()
        assert greeted(server)[1] == 2
        assert client.enabled("a", USER) is True


@pytest.mark.parametrize("step_s", [3_600, -3_600, 86_400 * 365], ids=["an hour on", "an hour back", "a year on"])
def test_clock_steps_change_nothing(step_s: int, tmp_path: Path) -> None:
    """Nothing goes stale or is given up by the wall clock, and an age is never negative."""
    with DeliveryServer(patience_s=None) as server:

        def serve() -> None:
            for number in itertools.count(1):
                next_revision(server, number)

        threading.Thread(target=serve, daemon=True).start()
        said = run(
            server.target,
            f"""
            real, real_ns, step = time.time, time.time_ns, 0
            time.time = lambda: real() + step
            time.time_ns = lambda: real_ns() + step * 10**9
            client = Client(TARGET, snapshot_path={str(tmp_path / "rules")!r})
            client.wait_until_ready(30)
            step = {step_s}
            fresh = client.decide("a", USER)
            flushed = client.flush(30)
            status = client.status()
            say(name="main", stale=fresh.stale, connected=status.connected, flushed=flushed,
                age=0 <= status.confirmed_ms_ago < 30_000)
            """,
        )
    assert said["main"] == {"name": "main", "stale": False, "connected": True, "flushed": True, "age": True}


@pytest.mark.parametrize(("saved_s_ago", "known"), [(7_200, True), (-7_200, True), (None, False)])
def test_rules_from_disk_know_their_age(tmp_path: Path, saved_s_ago: int | None, *, known: bool) -> None:
    """Told from the first decision on; a file from the future is as new as can be, and no guess is made."""
    path = tmp_path / "rules"
    saved_at_ms = 0 if saved_s_ago is None else (time.time_ns() // 10**9 - saved_s_ago) * 1_000
    path.write_bytes(pack(position(1), [ON], (), saved_at_ms=saved_at_ms))
    path.chmod(0o600)
    with Client("127.0.0.1:9", snapshot_path=path) as client:
        until(lambda: client.decide("a", USER).stale)
        decision_ms, age_ms = client.decide("a", USER).confirmed_ms_ago, client.status().confirmed_ms_ago
    assert (decision_ms is not None, age_ms is not None) == (known, known)
    if saved_s_ago is not None and age_ms is not None:
        assert (age_ms >= 7_200_000) is (saved_s_ago > 0)
