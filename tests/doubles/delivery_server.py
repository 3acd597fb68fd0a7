"""A delivery server that tests script: real gRPC, real protobuf, no logic but "send what the test says"."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import grpc

from rollout_sdk.engine.metrics import MetricDeclaration
from rollout_sdk.engine.model import Cohort, Flag, FlagState, Position, RolloutState
from rollout_sdk.wire.codec import (
    record_of_cohort,
    record_of_flag,
    record_of_metric,
    record_of_rollout,
    record_of_state,
)
from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.records import RulesetDigest, WireRecord
from rollout_sdk.wire.v1 import delivery_pb2, delivery_pb2_grpc, ruleset_pb2

WAIT_S = 20
STREAMS_MAX = 32


def record(resource: Flag | Cohort | FlagState | RolloutState | MetricDeclaration, version: int) -> WireRecord:
    """Return the record of whatever it is."""
    match resource:
        case Flag():
            return record_of_flag(resource, version)
        case Cohort():
            return record_of_cohort(resource, version)
        case FlagState():
            return record_of_state(resource, version)
        case RolloutState():
            return record_of_rollout(resource, version)
        case MetricDeclaration():
            return record_of_metric(resource, version)


def digest_of(records: Iterable[WireRecord]) -> bytes:
    """Return the ruleset digest of these records."""
    digest = RulesetDigest()
    for each in records:
        digest = digest.add(each.data)
    return digest.to_bytes()


def update(
    position: Position,
    records: Iterable[WireRecord],
    *,
    holding: Iterable[WireRecord] = (),
    base: int | None = None,
    removed: Iterable[tuple[int, str]] = (),
    chunks: Iterable[tuple[bytes, bytes]] = (),
) -> delivery_pb2.WatchResponse:
    """Return an update in one part: a snapshot, or the delta from revision `base`.

    Args:
        position: where the client stands afterwards.
        records: as in the message.
        holding: all records afterwards, if others than `records`; only for the digest.
        base: None makes a snapshot.
        removed: kinds and keys.
        chunks: digests and data.
    """
    sent = tuple(records)
    message = delivery_pb2.Update(
        snapshot=base is None,
        base_revision=base or 0,
        position=write_position(position),
        records=[ruleset_pb2.Record.FromString(each.data) for each in sent],
        ruleset_digest=digest_of(tuple(holding) or sent),
    )
    for kind, key in removed:
        message.removed.add(kind=ruleset_pb2.RecordKind.ValueType(kind), key=key)
    for digest, data in chunks:
        message.chunks.add(digest=digest, data=data)
    return delivery_pb2.WatchResponse(update=message)


def bookmark(position: Position, records: Iterable[WireRecord]) -> delivery_pb2.WatchResponse:
    """Return the proof that the server holds these records at this position."""
    return delivery_pb2.WatchResponse(
        bookmark=delivery_pb2.Bookmark(position=write_position(position), ruleset_digest=digest_of(records))
    )


def drain(within_ms: int) -> delivery_pb2.WatchResponse:
    """Return the hint to go elsewhere."""
    return delivery_pb2.WatchResponse(drain=delivery_pb2.Drain(reconnect_within_ms=within_ms))


@dataclass(eq=False)
class Stream:
    """One call, from the server's side. A test sends, and waits for what the client says."""

    metadata: dict[str, str]
    patience_s: float | None
    _received: queue.SimpleQueue[delivery_pb2.WatchRequest | None] = field(default_factory=queue.SimpleQueue)
    _to_send: queue.SimpleQueue[delivery_pb2.WatchResponse | None] = field(default_factory=queue.SimpleQueue)

    def send(self, *responses: delivery_pb2.WatchResponse) -> None:
        """Send these, in order."""
        for response in responses:
            self._to_send.put(response)

    def end(self) -> None:
        """End the call."""
        self._to_send.put(None)

    def receive(self) -> delivery_pb2.WatchRequest | None:
        """Return the client's next message; None once its side has ended.

        Raises:
            queue.Empty: nothing came.
        """
        return self._received.get(timeout=self.patience_s)

    def hello(self) -> delivery_pb2.Hello:
        """Return the next message, which must be a hello."""
        request = self.receive()
        assert request is not None
        assert request.WhichOneof("message") == "hello", request
        return request.hello

    def acknowledged(self) -> delivery_pb2.Acknowledge:
        """Return the next message, which must be an acknowledgement."""
        request = self.receive()
        assert request is not None
        assert request.WhichOneof("message") == "acknowledge", request
        return request.acknowledge


class DeliveryServer(delivery_pb2_grpc.DeliveryServiceServicer):
    """Listens on loopback; each call becomes a `Stream` that a test takes with `stream()`."""

    def __init__(
        self,
        *,
        refuse: bool = False,
        patience_s: float | None = WAIT_S,
        credentials: grpc.ServerCredentials | None = None,
        beside: Callable[[grpc.Server], object] | None = None,
        address: str = "127.0.0.1:0",
    ) -> None:
        """Listen.

        Args:
            refuse: every call, as one whose token is unknown.
            credentials: for TLS; without them it speaks plaintext.
            patience_s: how long a test waits for a call or a message; None: as long as it runs.
            beside: puts another service on the same port.
            address: to listen at.
        """
        self._refuses = refuse
        self._patience_s = patience_s
        self._streams: queue.SimpleQueue[Stream] = queue.SimpleQueue()
        self._open: list[Stream] = []
        self._server = grpc.server(ThreadPoolExecutor(STREAMS_MAX), options=[("grpc.so_reuseport", 0)])
        delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(self, self._server)
        if beside:
            beside(self._server)
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.target = address if address.startswith("unix:") else f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._open:
            stream.end()
        self._server.stop(grace=0).wait(WAIT_S)

    def stream(self) -> Stream:
        """Return the next call that a client made.

        Raises:
            queue.Empty: none did.
        """
        return self._streams.get(timeout=self._patience_s)

    def Watch(  # noqa: N802 - the method's name in the proto
        self, request_iterator: Iterator[delivery_pb2.WatchRequest], context: grpc.ServicerContext
    ) -> Iterator[delivery_pb2.WatchResponse]:
        if self._refuses:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        stream = Stream(metadata, self._patience_s)
        context.add_callback(stream.end)
        threading.Thread(target=_pump, args=(request_iterator, stream), daemon=True).start()
        self._open.append(stream)
        self._streams.put(stream)
        return iter(stream._to_send.get, None)

    def Relay(  # noqa: N802 - the method's name in the proto
        self, request_iterator: Iterator[delivery_pb2.RelayRequest], context: grpc.ServicerContext
    ) -> Iterator[delivery_pb2.RelayResponse]:
        del request_iterator
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "this double serves processes only")


def _pump(requests: Iterator[delivery_pb2.WatchRequest], stream: Stream) -> None:
    try:
        for request in requests:
            stream._received.put(request)
    except grpc.RpcError:
        pass
    except Exception as error:  # noqa: BLE001 - grpc raises a bare Exception on a client that went away
        del error
    stream._received.put(None)
    stream.end()  # a client that has nothing more to say is not kept waiting
