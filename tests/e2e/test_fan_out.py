"""Thousands of streams of one server: none lost when all come at once, little memory held for who never reads."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fanout.__main__ import SETTINGS, Listeners, resident_kib
from benchmarks.fanout.crowd import PATH
from benchmarks.fanout.wire_stream import INITIAL_WINDOW, message, opening
from benchmarks.own_server import Operator, Server, until
from rollout_sdk.wire.delivery import write_greeting
from rollout_sdk.wire.messages import Greeting
from rollout_sdk.wire.v1 import control_pb2 as pb

READER_KIB_MAX = 64


@contextlib.contextmanager
def served(data: Path, descriptors: int) -> Iterator[tuple[Server, Operator]]:
    """A server in a process of its own; it takes over how many descriptors a process may have."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(limits[0], descriptors), limits[1]), limits[1]))
    server = Server(data, SETTINGS)
    server.start()
    operator = Operator(server)
    try:
        yield server, operator
    finally:
        operator.channel.close()
        server.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def flag(number: int, size_bytes: int) -> dict[str, Any]:
    """A flag that is other bytes each time, about so many."""
    units = [f"user-{number:06}-{at:03}" for at in range(max(1, size_bytes // 17))]
    return {"kind": "Flag", "metadata": {"key": "changing"}, "spec": {"targets": {"on": units}}}


@pytest.mark.parametrize("streams", [500, pytest.param(4_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(180)
def test_streams_that_all_open_at_once_are_all_served(tmp_path: Path, streams: int) -> None:
    """A storm is let in, in order: no connection is taken and dropped without a word, and a change reaches them all."""
    with served(tmp_path / "data", 2 * streams + 512) as (server, operator):
        operator.apply([flag(0, 300)])
        crowd = Listeners(server, operator.sdk_token(), streams)
        try:
            until(lambda: crowd.heard()[0] == streams, "every stream is spoken to")
            assert crowd.heard() == (streams, 0)
            revision = operator.apply([flag(1, 300)]).position.revision
            until(lambda: len(crowd.lags_ms(revision)) == streams, "the change is everywhere")
        finally:
            crowd.end()


def deaf(port: int, token: str, name: str) -> socket.socket:
    """A process that says hello, and never reads: what it lets the server send ahead is HTTP/2's least."""
    made = socket.create_connection(("127.0.0.1", port))
    hello = write_greeting(Greeting(name, "1", ("type:boolean", "law:1"), "deaf", "loopback", os.getpid()))
    made.sendall(opening("localhost", PATH, token, INITIAL_WINDOW) + message(hello.SerializeToString()))
    return made


@pytest.mark.parametrize(
    ("readers", "edits", "size_bytes"),
    [(300, 150, 8_000), pytest.param(200, 10_000, 300, marks=pytest.mark.soak)],
)
@pytest.mark.timeout(900)
def test_who_never_reads_costs_bounded_memory(tmp_path: Path, readers: int, edits: int, size_bytes: int) -> None:
    """Of a megabyte or more of edits each, less than 64 KiB is held, the stream itself included (promise 15)."""
    with served(tmp_path / "data", 2 * readers + 512) as (server, operator), contextlib.ExitStack() as stack:
        token = operator.sdk_token()

        def edit(first: int, count: int) -> int:
            """Edit, and return the most memory that was in use meanwhile, in KiB."""
            most_kib = 0
            for number in range(first, first + count):
                operator.apply([flag(number, size_bytes)])
                most_kib = max(most_kib, resident_kib(server.pid)) if number % 5 == 0 else most_kib
            return most_kib

        half_kib = edit(0, edits // 2)
        edited_kib = edit(edits // 2, edits // 2)
        own_kib = 2 * (edited_kib - half_kib)  # the server remembers edits, whoever listens, and fewer of later ones
        for number in range(readers):
            stack.enter_context(deaf(server.port, token, f"deaf-{number}"))
        until(lambda: len(operator.ask("ListInstances", pb.ListInstancesRequest()).instances) == readers, "all came")
        held_kib = edit(edits, edits) - edited_kib - own_kib
        assert held_kib / readers < READER_KIB_MAX
