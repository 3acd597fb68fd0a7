"""The gRPC side of a test's server, asked by a caller that is no SDK."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.testing.board import Board
from rollout_sdk.testing.ledger import Ledger
from rollout_sdk.testing.service import Listening
from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc, telemetry_pb2, telemetry_pb2_grpc

WAIT_S = 20
AUTHORIZED = (("authorization", "Bearer t"),)


class Caller:
    """Says what a test says, in order."""

    def __init__(self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...] = AUTHORIZED) -> None:
        self._said: queue.SimpleQueue[delivery_pb2.WatchRequest | None] = queue.SimpleQueue()
        self.call = delivery_pb2_grpc.DeliveryServiceStub(channel).Watch(
            iter(self._said.get, None), metadata=metadata, timeout=WAIT_S
        )

    def say(self, **message: object) -> None:
        self._said.put(delivery_pb2.WatchRequest(**message))  # type: ignore[arg-type] # by name

    def hello(self, held: Position | None = None) -> delivery_pb2.WatchResponse:
        self.say(
            hello=delivery_pb2.Hello(
                instance_id="i-1", service="web", held=None if held is None else write_position(held)
            )
        )
        return self.next()

    def next(self) -> delivery_pb2.WatchResponse:
        response = next(iter(self.call))
        assert isinstance(response, delivery_pb2.WatchResponse)
        return response

    def end(self) -> None:
        self._said.put(None)


@pytest.fixture
def board() -> Board:
    board = Board()
    board.set({"a": True})
    return board


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def channel(board: Board, ledger: Ledger) -> Iterator[grpc.Channel]:
    listening = Listening(board, ledger, "t", 0)
    with grpc.insecure_channel(f"127.0.0.1:{listening.port}") as channel:
        yield channel
    listening.close()


def test_a_newcomer_gets_a_snapshot_and_then_deltas(channel: grpc.Channel, board: Board) -> None:
    """From the revision told last, with the digest of the whole."""
    caller = Caller(channel)
    first = caller.hello().update
    assert first.snapshot
    assert read_position(first.position) == board.position
    board.set({"b": 1})
    board.remove(["a"])
    seen = caller.next().update
    if read_position(seen.position) != board.position:
        seen = caller.next().update
    assert not seen.snapshot
    assert [gone.key for gone in seen.removed] == ["a"]
    assert seen.ruleset_digest == board.bookmark().ruleset_digest
    caller.end()


def test_whoever_comes_back_resumes_and_whoever_is_from_elsewhere_is_reset(channel: grpc.Channel, board: Board) -> None:
    """A bookmark where nothing is new, a delta where something is, a snapshot after a reset."""
    here = board.position
    up_to_date = Caller(channel)
    assert read_position(up_to_date.hello(here).bookmark.position) == here
    up_to_date.end()
    board.set({"b": 1})
    behind = Caller(channel)
    update = behind.hello(here).update
    assert (update.snapshot, update.base_revision) == (False, here.revision)
    behind.end()
    stranger = Caller(channel)
    assert stranger.hello(Position("elsewhere", 9)).reset.reason
    assert stranger.next().update.snapshot
    stranger.end()


def test_what_is_said_is_noted(channel: grpc.Channel, board: Board, ledger: Ledger) -> None:
    """Acknowledgements with what is refused, and the goodbye."""
    caller = Caller(channel)
    caller.hello()
    refused = delivery_pb2.Quarantine(flag="a", version=1, error="odd")
    caller.say(acknowledge=delivery_pb2.Acknowledge(position=write_position(board.position), quarantined=[refused]))
    caller.say(goodbye=delivery_pb2.Goodbye(reason="done"))
    caller.end()
    assert ledger.wait_for(lambda all_: bool(all_) and not all_[0].connected, WAIT_S)
    (process,) = ledger.processes
    assert (process.service, process.revision, process.quarantined) == ("web", 1, (("a", "odd"),))
    assert process.said_goodbye


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer other"),)])
def test_a_wrong_token_is_refused_everywhere(channel: grpc.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
    """As production would."""
    with pytest.raises(grpc.RpcError) as watch:
        Caller(channel, metadata).hello()
    with pytest.raises(grpc.RpcError) as report:
        telemetry_pb2_grpc.TelemetryServiceStub(channel).Report(telemetry_pb2.ReportRequest(), metadata=metadata)
    for refused in (watch, report):
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_stream_begins_with_a_hello(channel: grpc.Channel) -> None:
    """Whatever else is a mistake of the caller."""
    caller = Caller(channel)
    caller.say(goodbye=delivery_pb2.Goodbye())
    with pytest.raises(grpc.RpcError) as refused:
        caller.next()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_port_is_of_one_server() -> None:
    """A test that names a taken one is told."""
    first = Listening(Board(), Ledger(), "t", 0)
    with pytest.raises(OSError, match=str(first.port)):
        Listening(Board(), Ledger(), "t", first.port)
    first.close()
