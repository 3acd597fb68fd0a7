"""The client against a scripted server: real gRPC on loopback, no sleeps; a test waits for what it expects."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk import Client, Context, Reason, Settings
from rollout_sdk.engine.model import FlagState
from rollout_sdk.wire.delivery import read_position
from rollout_sdk.wire.records import RecordKind
from rollout_sdk.wire.snapshot import pack, unpack
from rollout_sdk.wire.v1 import delivery_pb2
from tests.doubles.delivery_server import DeliveryServer, Stream, bookmark, digest_of, drain, record, update
from tests.small_rules import boolean, broken, cohort, for_cohort, position

WAIT_S = 20
USER = Context("u-1")
A1, B1 = record(boolean("a"), 1), record(boolean("b"), 1)
A_OFF = record(boolean("a", on=False), 2)
KILL_A = record(FlagState("a", killed=True), 2)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        threading.Event().wait(0.005)


def hasty(target: str, **given: Any) -> Settings:
    """Settings of a client that does not make a test wait."""
    return replace(Settings(target, token="rg_secret", backoff_base_ms=1, backoff_max_ms=5), **given)


@pytest.fixture
def server() -> Iterator[DeliveryServer]:
    with DeliveryServer() as server:
        yield server


@pytest.fixture
def dial(server: DeliveryServer) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def dial(**given: Any) -> Client:
        clients.append(Client.of(hasty(server.target, **given)))
        return clients[-1]

    yield dial
    for client in clients:
        client.close()


def greeted(server: DeliveryServer) -> tuple[Stream, delivery_pb2.Hello]:
    stream = server.stream()
    return stream, stream.hello()


def serving(server: DeliveryServer, dial: Callable[..., Client], **given: Any) -> tuple[Client, Stream]:
    """A client that holds A and B at revision 1."""
    client = dial(**given)
    stream, _ = greeted(server)
    stream.send(update(position(1), [A1, B1]))
    stream.acknowledged()
    return client, stream


def test_first_contact(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Hello says who and what, a snapshot comes into force before it is acknowledged."""
    client = dial(service="shop")
    assert client.decide("a", USER).reason is Reason.NOT_READY
    stream, hello = greeted(server)
    assert (hello.service, hello.pid, hello.host) == ("shop", os.getpid(), os.uname().nodename)
    assert not hello.HasField("held")
    assert "op:regex" in hello.capabilities
    assert stream.metadata["authorization"] == "Bearer rg_secret"
    stream.send(update(position(1), [A1, B1]))
    acknowledged = stream.acknowledged()
    assert client.enabled("a", USER) is True
    assert (read_position(acknowledged.position), acknowledged.ruleset_digest) == (position(1), digest_of([A1, B1]))
    assert client.wait_until_ready(0)
    assert client.status().connected


def test_a_delta_changes_what_it_names(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Changes, removals and kills arrive as small records."""
    client, stream = serving(server, dial)
    stream.send(update(position(2), [A_OFF], base=1, holding=[A_OFF, B1]))
    stream.acknowledged()
    assert client.enabled("a", USER, default=True) is False
    stream.send(update(position(3), [], base=2, removed=[(RecordKind.FLAG, "b")], holding=[A_OFF]))
    stream.acknowledged()
    assert client.decide("b", USER).reason is Reason.UNKNOWN_FLAG
    stream.send(update(position(4), [A1, KILL_A], base=3))
    stream.acknowledged()
    assert client.decide("a", USER).reason is Reason.KILLED


def test_it_resumes_from_where_it_stands(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Promise 5: a new stream names the position held, and the same instance."""
    client, stream = serving(server, dial)
    stream.end()
    again, hello = greeted(server)
    assert read_position(hello.held) == position(1)
    assert hello.instance_id == client.status().instance_id
    again.send(update(position(2), [A_OFF], base=1, holding=[A_OFF, B1]))
    again.acknowledged()
    assert client.decide("a", USER).revision == 2


def test_a_wrong_digest_asks_for_a_snapshot(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """What does not add up is not put in force, and the whole is asked for."""
    client, stream = serving(server, dial)
    stream.send(update(position(2), [A_OFF], base=1, holding=[A_OFF]))
    again, hello = greeted(server)
    assert not hello.HasField("held")
    assert client.enabled("a", USER) is True
    again.send(update(position(2), [A_OFF, B1]))
    again.acknowledged()
    assert client.enabled("a", USER) is False


def test_a_reset_brings_a_snapshot_of_another_epoch(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """A restore is followed, though its revision is lower."""
    client, stream = serving(server, dial)
    stream.end()
    again, _ = greeted(server)
    again.send(
        delivery_pb2.WatchResponse(reset=delivery_pb2.Reset(reason="restored from a backup")),
        update(position(0, "epoch-2"), [A_OFF]),
    )
    again.acknowledged()
    assert client.decide("a", USER).epoch == "epoch-2"
    assert client.decide("b", USER).reason is Reason.UNKNOWN_FLAG


def test_it_never_goes_back_within_an_epoch(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Promise 4: a replica that is behind is left, and what is held stays."""
    client, stream = serving(server, dial)
    stream.send(update(position(5), [A_OFF], base=1, holding=[A_OFF, B1]))
    stream.acknowledged()
    stream.end()
    behind, hello = greeted(server)
    assert hello.held.revision == 5
    behind.send(update(position(4), [A1, B1]))
    _, hello = greeted(server)
    assert hello.held.revision == 5
    assert client.decide("a", USER).revision == 5


def test_a_bad_flag_is_refused_by_name_and_killed_all_the_same(
    server: DeliveryServer, dial: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 3: the server sees the refusal in the acknowledgement, and kill acts on the last good rules."""
    client, stream = serving(server, dial)
    bad, b2 = record(broken(boolean("a")), 2), record(boolean("b", on=False), 2)
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        stream.send(update(position(2), [bad, b2], base=1))
        refused = stream.acknowledged().quarantined
    assert [(each.flag, each.version) for each in refused] == [("a", 2)]
    assert "telepathy" in refused[0].error
    assert client.enabled("a", USER) is True
    assert client.enabled("b", USER) is False
    assert client.status().quarantined.keys() == {"a"}
    assert [entry for entry in caplog.messages if "newest rules of a" in entry] != []
    kill = record(FlagState("a", killed=True), 3)
    stream.send(update(position(3), [kill], base=2, holding=[bad, b2, kill]))
    assert stream.acknowledged().quarantined[0].flag == "a"
    assert client.decide("a", USER).reason is Reason.KILLED
    stream.end()
    assert greeted(server)[1].quarantined[0].flag == "a"


def test_cohorts_arrive_in_chunks(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Members are decided by hash; their keys never travel."""
    client = dial()
    stream, _ = greeted(server)
    staff = cohort("staff", "u-1")
    stream.send(
        update(
            position(1),
            [record(staff, 1), record(for_cohort("a", "staff"), 1)],
            chunks=[(chunk.digest, chunk.data) for chunk in staff.include.chunks],
        )
    )
    stream.acknowledged()
    assert client.enabled("a", USER)
    assert not client.enabled("a", Context("u-2"))


def test_a_draining_server_is_left(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """The hint is followed: another stream, from the same position."""
    client, stream = serving(server, dial)
    stream.send(drain(1))
    assert stream.receive() is None
    _, hello = greeted(server)
    assert hello.held.revision == 1
    assert client.enabled("a", USER)


def test_goodbye_on_close(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """A process that leaves on purpose is not counted as lost; its decisions go on."""
    client, stream = serving(server, dial)
    client.close()
    request = stream.receive()
    assert request is not None
    assert request.WhichOneof("message") == "goodbye"
    assert client.enabled("a", USER)
    client.close()


def test_a_bookmark_moves_the_position(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Revisions that changed nothing here are followed and acknowledged."""
    client, stream = serving(server, dial)
    stream.send(bookmark(position(7), [A1, B1]))
    assert stream.acknowledged().position.revision == 7
    assert client.decide("a", USER).revision == 7


def test_silence_makes_decisions_stale_and_dials_again(server: DeliveryServer, dial: Callable[..., Client]) -> None:
    """Staleness is by the monotonic clock since the last message; a word from the server ends it."""
    client, _ = serving(server, dial, silence_timeout_ms=60, stale_after_ms=30)
    until(lambda: client.decide("a", USER).stale)
    again, hello = greeted(server)
    assert hello.held.revision == 1
    assert client.enabled("a", USER)
    again.send(bookmark(position(2), [A1, B1]))
    again.acknowledged()
    until(lambda: client.decide("a", USER).revision == 2)


def test_a_black_hole_is_left_and_costs_the_constructor_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Something listens and never answers: the deadline is ours, and the warning comes once."""
    with socket.create_server(("127.0.0.1", 0)) as hole, caplog.at_level(logging.WARNING, "rollout_sdk"):
        port = hole.getsockname()[1]
        with Client.of(hasty(f"127.0.0.1:{port}", connect_timeout_ms=30)) as client:
            accepted = [hole.accept()[0] for _ in range(3)]
            assert client.decide("a", USER, default=True).reason is Reason.NOT_READY
            assert not client.wait_until_ready(0)
        for connection in accepted:
            connection.close()
    assert sum("no message in time" in entry for entry in caplog.messages) == 1


def test_without_a_server_the_default_is_served_and_a_warning_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: decisions work, the log does not fill, no secret is in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with caplog.at_level(logging.DEBUG, "rollout_sdk"), Client.of(hasty(f"127.0.0.1:{port}")) as client:
        until(lambda: caplog.messages)
        assert client.decide("a", USER, default="x").value == "x"
        assert client.enabled("a", USER, default=True) is True
        assert "rg_secret" not in repr(client) + repr(hasty("localhost:1"))
    assert "rg_secret" not in caplog.text


def test_a_refused_token_is_an_error_that_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """On-call reads one line and knows where to look."""
    caplog.set_level(logging.ERROR, "rollout_sdk")
    with DeliveryServer(refuse=True) as server, Client.of(hasty(server.target)):
        until(lambda: caplog.messages)
    assert "check ROLLOUT_TOKEN" in caplog.text
    assert "rg_secret" not in caplog.text


def test_it_starts_from_disk_without_a_server(tmp_path: Path, server: DeliveryServer) -> None:
    """Promise 2: the last known good serves, stale, and the delta goes on from there."""
    path = tmp_path / "rules.snapshot"
    path.write_bytes(pack(position(1), [A1, B1], ()))
    path.chmod(0o600)
    with Client.of(hasty(server.target, snapshot_path=str(path))) as client:
        stream, hello = greeted(server)
        assert read_position(hello.held) == position(1)
        assert (client.enabled("a", USER), client.decide("a", USER).stale) == (True, True)
        assert not client.wait_until_ready(0)
        stream.send(update(position(2), [A_OFF], base=1, holding=[A_OFF, B1]))
        stream.acknowledged()
        assert (client.enabled("a", USER), client.decide("a", USER).stale) == (False, False)
        assert client.flush(WAIT_S)
        assert unpack(path.read_bytes()).position == position(2)


def test_a_torn_snapshot_is_ignored_with_a_warning(
    tmp_path: Path, server: DeliveryServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file is no file: the server is asked for everything."""
    path = tmp_path / "rules.snapshot"
    path.write_bytes(pack(position(1), [A1, B1], ())[:-1])
    with caplog.at_level(logging.WARNING, "rollout_sdk"), Client.of(hasty(server.target, snapshot_path=str(path))):
        assert not greeted(server)[1].HasField("held")
    assert "torn or damaged" in caplog.text


def test_an_override_acts_over_everything_and_is_lifted(
    tmp_path: Path, server: DeliveryServer, dial: Callable[..., Client]
) -> None:
    """The emergency file needs no server, is followed while running, and changes no other flag."""
    path = tmp_path / "overrides"
    path.write_text('{"a": "off"}', encoding="utf-8")
    client, _ = serving(server, dial, overrides_path=str(path))
    changed: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
    client.on_change(changed.put)
    assert (client.decide("a", USER).value, client.decide("a", USER).reason) == (False, Reason.OVERRIDE)
    assert client.decide("b", USER).reason is Reason.DEFAULT
    path.unlink()
    assert changed.get(timeout=WAIT_S) == {"a"}
    assert client.enabled("a", USER) is True


def test_on_change_tells_everybody_whatever_one_of_them_does(
    server: DeliveryServer, dial: Callable[..., Client]
) -> None:
    """A callback that raises or hangs harms neither decisions nor its neighbours."""
    client, stream = serving(server, dial)
    told: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
    hang = threading.Event()

    def raising(flags: frozenset[str]) -> None:
        raise ValueError(flags)

    client.on_change(raising)
    client.on_change(lambda _: hang.wait())
    forget = client.on_change(told.put)
    for revision, sent in ((2, A_OFF), (3, record(boolean("a"), 3)), (4, record(boolean("a", on=False), 4))):
        stream.send(update(position(revision), [sent], base=revision - 1, holding=[sent, B1]))
        stream.acknowledged()
    assert told.get(timeout=WAIT_S) == {"a"}
    forget()
    hang.set()
    assert client.enabled("a", USER) is False


async def test_nothing_blocks_the_event_loop(server: DeliveryServer) -> None:
    """While the server keeps silent the loop goes on turning; `ready` ends by itself, and by the rules' arrival."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    async with Client.of(hasty(server.target)) as client:
        assert await client.ready(0.01) is False
        before = turns
        waiting = asyncio.create_task(client.ready(WAIT_S))
        stream, _ = await asyncio.to_thread(greeted, server)
        stream.send(update(position(1), [A1]))
        assert await waiting is True
        assert await client.ready() is True
        assert client.enabled("a", USER)
        assert turns > before
    turning.cancel()


def test_a_client_that_is_dropped_says_goodbye(server: DeliveryServer) -> None:
    """Forgetting to close leaks neither threads nor a stream."""
    client = Client.of(hasty(server.target))
    stream, _ = greeted(server)
    del client
    request = stream.receive()
    assert request is not None
    assert request.WhichOneof("message") == "goodbye"
