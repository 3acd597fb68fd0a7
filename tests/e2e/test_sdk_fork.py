"""The client across fork and the end of the process. Each program runs in a process of its own and really forks."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rollout_sdk.wire.v1 import delivery_pb2
from tests.doubles.delivery_server import DeliveryServer, Stream, bookmark, record, update
from tests.small_rules import boolean, position

WAIT_S = 60
A1, A_OFF = record(boolean("a"), 1), record(boolean("a", on=False), 2)

PRELUDE = """
import json, os, signal, sys, threading, time, multiprocessing
from rollout_sdk import Client, Context

USER = Context("u-1")
TARGET = sys.argv[1]

def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True

def say(**facts):
    os.write(1, (json.dumps(facts) + "\\n").encode())

def facts(client, name):
    connected = until(lambda: client.status().connected and client.status().ready)
    return {"name": name, "connected": connected, "value": client.enabled("a", USER),
            "instance": client.status().instance_id, "pid": os.getpid()}

def child_of(client, name, code=0):
    pid = os.fork()
    if pid:
        return pid
    try:
        say(**facts(client, name))
        os._exit(code)
    finally:
        os._exit(99)

def reap(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


class Helpful:
    """A server for many processes: rules for whoever has none, a bookmark for the others."""

    def __init__(self, server: DeliveryServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._streams: list[Stream] = []
        self._is_flipped = False
        self.target = server.target
        self.hellos: list[delivery_pb2.Hello] = []
        self.goodbyes: set[str] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def flip(self) -> None:
        """Turn the flag off for everybody."""
        with self._lock:
            self._is_flipped = True
            for stream in self._streams:
                stream.send(update(position(2), [A_OFF], base=1))

    def _serve(self) -> None:
        while True:
            stream = self._server.stream()
            threading.Thread(target=self._greet, args=(stream,), daemon=True).start()

    def _greet(self, stream: Stream) -> None:
        first = stream.receive()
        if first is None:
            return
        with self._lock:
            self.hellos.append(first.hello)
            revision, rules = (2, A_OFF) if self._is_flipped else (1, A1)
            is_current = first.hello.held.revision == revision
            stream.send(bookmark(position(revision), [rules]) if is_current else update(position(revision), [rules]))
            self._streams.append(stream)
        while (request := stream.receive()) is not None:
            if request.WhichOneof("message") == "goodbye":
                self.goodbyes.add(first.hello.instance_id)


@pytest.fixture
def helpful() -> Iterator[Helpful]:
    with DeliveryServer(patience_s=None) as server:
        yield Helpful(server)


def run(helpful: Helpful, program: str, **environment: str) -> dict[str, dict[str, Any]]:
    """Run a program to its end; return what it said, by name. It must say nothing on stderr and exit with 0."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), helpful.target],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["name"]: each for each in said}


def test_parent_and_child_go_on_as_two_instances(helpful: Helpful) -> None:
    """The child has an identity and a connection of its own; the parent keeps its."""
    said = run(
        helpful,
        """
        client = Client(TARGET)
        say(**facts(client, "before"))
        status = reap(child_of(client, "child"))
        say(**facts(client, "after"), status=status)
        """,
    )
    assert [each["connected"] for each in said.values()] == [True, True, True]
    assert [each["value"] for each in said.values()] == [True, True, True]
    assert said["after"]["status"] == 0
    assert said["before"]["instance"] == said["after"]["instance"] != said["child"]["instance"]
    instances = {(hello.pid, hello.instance_id) for hello in helpful.hellos}
    assert {(said[name]["pid"], said[name]["instance"]) for name in said} == instances


def test_a_child_decides_at_once_and_sees_changes(helpful: Helpful) -> None:
    """Rules are inherited; a change after the fork reaches child and parent."""
    ready = threading.Event()

    def flip_when_both_are_there() -> None:
        while len({hello.pid for hello in helpful.hellos}) < 2:
            ready.wait(0.005)
        helpful.flip()

    threading.Thread(target=flip_when_both_are_there, daemon=True).start()
    said = run(
        helpful,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        pid = os.fork()
        first = client.decide("a", USER)
        saw = until(lambda: not client.enabled("a", USER, default=True))
        say(name="child" if pid == 0 else "parent", first=first.reason.value, saw=saw)
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert {(each["first"], each["saw"]) for each in said.values()} == {("default", True)}


def test_forks_while_threads_decide_and_the_client_still_connects(helpful: Helpful) -> None:
    """Prefork servers fork right after start-up, with threads running: nobody hangs, everybody connects."""
    said = run(
        helpful,
        """
        client = Client(TARGET)
        stop = threading.Event()
        def decide():
            while not stop.is_set():
                client.enabled("a", USER)
                time.sleep(0)
        threads = [threading.Thread(target=decide) for _ in range(2)]
        for thread in threads: thread.start()
        children = [child_of(client, f"child {number}") for number in range(6)]
        codes = [reap(pid) for pid in children]
        stop.set()
        for thread in threads: thread.join()
        say(**facts(client, "parent"), codes=codes)
        """,
    )
    assert said["parent"]["codes"] == [0] * 6
    assert len({each["instance"] for each in said.values()}) == 7
    assert all(each["connected"] and each["value"] for each in said.values())


def test_a_grandchild_connects_too(helpful: Helpful) -> None:
    """Fork in a fork."""
    said = run(
        helpful,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        pid = os.fork()
        if pid == 0:
            code = reap(child_of(client, "grandchild"))
            say(**facts(client, "child"), code=code)
            os._exit(0)
        reap(pid)
        """,
    )
    assert said["child"]["code"] == 0
    assert (said["child"]["connected"], said["grandchild"]["connected"]) == (True, True)
    assert said["child"]["instance"] != said["grandchild"]["instance"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_connect_and_say_goodbye(helpful: Helpful, method: str, tmp_path: Any) -> None:
    """They leave without atexit; the server is told all the same. A spawned child makes its own client."""
    program = tmp_path / "program.py"
    program.write_text(
        PRELUDE
        + textwrap.dedent(
            f"""
            def work(name):
                global client
                if {method!r} != "fork":
                    client = Client(TARGET)
                say(**facts(client, name))

            if __name__ == "__main__":
                client = Client(TARGET)
                client.wait_until_ready(30)
                context = multiprocessing.get_context({method!r})
                children = [context.Process(target=work, args=(f"child {{number}}",)) for number in range(2)]
                for child in children: child.start()
                for child in children: child.join()
                say(**facts(client, "parent"), codes=[child.exitcode for child in children])
            """
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, program, helpful.target], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert said["parent"]["codes"] == [0, 0]
    assert all(each["connected"] and each["value"] for each in said.values())
    wait = threading.Event()
    while not {each["instance"] for each in said.values()} <= helpful.goodbyes:
        wait.wait(0.005)


def test_a_closed_or_dropped_client_is_not_reopened_by_a_fork(helpful: Helpful) -> None:
    """What the user ended stays ended, in the child too."""
    said = run(
        helpful,
        """
        import gc
        closed, dropped = Client(TARGET), Client(TARGET)
        closed.wait_until_ready(30), dropped.wait_until_ready(30)
        closed.close()
        del dropped
        gc.collect()
        until(lambda: not any(t.name.startswith("rollout") for t in threading.enumerate()))
        pid = os.fork()
        names = [t.name for t in threading.enumerate() if t.name.startswith("rollout")]
        say(name="child" if pid == 0 else "parent", threads=names, value=closed.enabled("a", USER))
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert [(each["threads"], each["value"]) for each in said.values()] == [([], True), ([], True)]
    assert len(helpful.hellos) == 2


def test_callbacks_live_on_in_both_processes(helpful: Helpful) -> None:
    """A child that asked nothing anew is told of changes."""
    ready = threading.Event()

    def flip_when_both_are_there() -> None:
        while len({hello.pid for hello in helpful.hellos}) < 2:
            ready.wait(0.005)
        helpful.flip()

    threading.Thread(target=flip_when_both_are_there, daemon=True).start()
    said = run(
        helpful,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        told = []
        client.on_change(lambda flags: told.append(sorted(flags)))
        pid = os.fork()
        until(lambda: told)
        say(name="child" if pid == 0 else "parent", told=told)
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert [each["told"] for each in said.values()] == [[["a"]], [["a"]]]


@pytest.mark.parametrize(
    "ending",
    ["pass", "sys.exit(0)", "del client", "threading.Thread(target=lambda: until(lambda: False, 0.2)).start()"],
)
def test_the_process_ends_quietly_and_says_goodbye(helpful: Helpful, ending: str) -> None:
    """No hang, no traceback, and the server knows that it was on purpose."""
    said = run(
        helpful,
        f"""
        client = Client(TARGET)
        say(**facts(client, "main"))
        {ending}
        """,
    )
    wait = threading.Event()
    while said["main"]["instance"] not in helpful.goodbyes:
        wait.wait(0.005)


def test_a_process_that_ends_at_once_ends_at_once(helpful: Helpful) -> None:
    """While the first connection is being made, too."""
    run(helpful, "Client(TARGET)")
    run(helpful, "client = Client('127.0.0.1:9')")
