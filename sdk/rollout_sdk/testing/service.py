"""The gRPC side of a test's server: it speaks the contract of delivery and of telemetry, as a real one does."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import grpc

from rollout_sdk.engine.model import Arm
from rollout_sdk.testing.ledger import Process
from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc, ruleset_pb2, telemetry_pb2, telemetry_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_sdk.engine.model import Position
    from rollout_sdk.testing.board import Board
    from rollout_sdk.testing.ledger import Ledger
    from rollout_sdk.wire.messages import Part

STREAMS_MAX: Final = 250
_CALLS_BESIDES: Final = 6
BOOKMARK_EVERY_S: Final = 5.0
REPORT_EVERY_MS: Final = 200

_ARMS: Final = {telemetry_pb2.ARM_CANDIDATE: Arm.CANDIDATE, telemetry_pb2.ARM_CONTROL: Arm.CONTROL}


class Listening:
    """A port on loopback that answers until it is closed."""

    def __init__(self, board: Board, ledger: Ledger, token: str, port: int) -> None:
        """Listen.

        Args:
            board: what is told.
            ledger: what is heard.
            token: the one that is let in.
            port: 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        self._board = board
        self._is_closed = threading.Event()
        # A new server on the port of one that has just closed must not share it with that.
        self._server = grpc.server(ThreadPoolExecutor(STREAMS_MAX + _CALLS_BESIDES), options=[("grpc.so_reuseport", 0)])
        door = _Door(token)
        delivery = _Delivery(board, ledger, door, self._is_closed)
        delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(delivery, self._server)
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(_Telemetry(ledger, door), self._server)
        try:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be opened: {error}") from None
        self._server.start()

    def close(self) -> None:
        """End all streams; a client that lives dials again and again."""
        self._is_closed.set()
        with self._board.changed:
            self._board.changed.notify_all()
        self._server.stop(grace=0).wait()


class _Door:
    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}"

    def check(self, context: grpc.ServicerContext) -> None:
        given = dict(context.invocation_metadata()).get("authorization")
        if given != self._wanted:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token; the server of a test takes `Server.token`")


class _Delivery(delivery_pb2_grpc.DeliveryServiceServicer):
    def __init__(self, board: Board, ledger: Ledger, door: _Door, is_closed: threading.Event) -> None:
        self._board = board
        self._ledger = ledger
        self._door = door
        self._is_closed = is_closed

    def Watch(  # noqa: N802 - the contract's name
        self, request_iterator: Iterator[delivery_pb2.WatchRequest], context: grpc.ServicerContext
    ) -> Iterator[delivery_pb2.WatchResponse]:
        self._door.check(context)
        first = next(request_iterator, None)
        if first is None or first.WhichOneof("message") != "hello":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message of a stream is a hello")
        has_ended, hello = threading.Event(), first.hello

        def end() -> None:
            has_ended.set()
            with self._board.changed:
                self._board.changed.notify_all()

        if not context.add_callback(end):
            return
        self._ledger.greet(Process(hello.instance_id, hello.service, hello.host, hello.pid), has_ended)
        listener = threading.Thread(target=self._listen, args=(hello.instance_id, request_iterator, end), daemon=True)
        listener.start()
        try:
            yield from self._speak(hello, has_ended)
        finally:
            self._ledger.leave(hello.instance_id, has_ended)

    def Relay(  # noqa: N802 - the contract's name
        self, request_iterator: Iterator[delivery_pb2.RelayRequest], context: grpc.ServicerContext
    ) -> Iterator[delivery_pb2.RelayResponse]:
        """Refuse: no relay stands before a test's server."""
        del request_iterator
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the server of a test takes no relays")

    def _speak(self, hello: delivery_pb2.Hello, has_ended: threading.Event) -> Iterator[delivery_pb2.WatchResponse]:
        held = read_position(hello.held) if hello.HasField("held") else None
        if held is not None and not self._board.holds(held):
            yield delivery_pb2.WatchResponse(reset=delivery_pb2.Reset(reason="another history is held"))
            held = None
        part = self._board.part_since(held)
        yield self._bookmark() if held == part.position else _update(part)
        while (following := self._next_after(part.position, has_ended)) is not None:
            yield self._bookmark() if following.position == part.position else _update(following)
            part = following

    def _next_after(self, told: Position, has_ended: threading.Event) -> Part | None:
        """Wait for what is new, or for the time of a bookmark; None at the end of the stream."""
        with self._board.changed:
            self._board.changed.wait_for(
                lambda: self._is_over(has_ended) or self._board.position != told, BOOKMARK_EVERY_S
            )
            return None if self._is_over(has_ended) else self._board.part_since(told)

    def _is_over(self, has_ended: threading.Event) -> bool:
        return has_ended.is_set() or self._is_closed.is_set()

    def _bookmark(self) -> delivery_pb2.WatchResponse:
        mark = self._board.bookmark()
        return delivery_pb2.WatchResponse(
            bookmark=delivery_pb2.Bookmark(position=write_position(mark.position), ruleset_digest=mark.ruleset_digest)
        )

    def _listen(self, instance_id: str, requests: Iterator[delivery_pb2.WatchRequest], end: Callable[[], None]) -> None:
        try:
            for request in requests:
                match request.WhichOneof("message"):
                    case "acknowledge":
                        said = request.acknowledge
                        quarantined = [(one.flag, one.error) for one in said.quarantined]
                        self._ledger.acknowledge(instance_id, read_position(said.position), quarantined)
                    case "goodbye":
                        self._ledger.say_goodbye(instance_id)
                    case _:
                        pass  # a second hello, or what a later release invented
        except Exception as error:  # noqa: BLE001 - grpc raises a bare one for a client that went away
            del error
        end()  # a client that has nothing more to say is not kept waiting


class _Telemetry(telemetry_pb2_grpc.TelemetryServiceServicer):
    def __init__(self, ledger: Ledger, door: _Door) -> None:
        self._ledger = ledger
        self._door = door

    def Report(  # noqa: N802 - the contract's name
        self, request: telemetry_pb2.ReportRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.ReportResponse:
        self._door.check(context)
        self._ledger.report(request.instance_id, request.sequence, _outcomes(request))
        return telemetry_pb2.ReportResponse(report_every_ms=REPORT_EVERY_MS)


def _outcomes(request: telemetry_pb2.ReportRequest) -> Counter[tuple[str, Arm | None]]:
    counts: Counter[tuple[str, Arm | None]] = Counter()
    for window in request.windows:
        for lost in window.unattributed:
            counts[lost.metric, None] += lost.count
        for sums in (arm for run in window.runs for arm in run.arms):
            arm = _ARMS.get(sums.arm)
            for events in sums.events:
                counts[events.metric, arm] += sum(events.bucket_n)
            for units in sums.outcomes:
                counts[units.metric, arm] += len(units.units)
    return counts


def _update(part: Part) -> delivery_pb2.WatchResponse:
    message = delivery_pb2.Update(
        snapshot=part.snapshot,
        base_revision=part.base_revision,
        position=write_position(part.position),
        chunks=[ruleset_pb2.Chunk(digest=digest, data=data) for digest, data in part.chunks],
        ruleset_digest=part.ruleset_digest,
    )
    for record in part.records:
        message.records.add().MergeFromString(record.data)
    for kind, key in part.removed:
        message.removed.add(kind=ruleset_pb2.RecordKind.ValueType(kind), key=key)
    return delivery_pb2.WatchResponse(update=message)
