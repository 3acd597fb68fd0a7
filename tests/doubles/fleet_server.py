"""A server for many real processes: serves rules, turns one flag off, writes down who came, left and counted what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import Reach
from rollout_sdk.wire.v1 import delivery_pb2, telemetry_pb2, telemetry_pb2_grpc
from tests.doubles.delivery_server import DeliveryServer, Stream, bookmark, record, update
from tests.small_rules import boolean, by_rollout, position, rollout

WAIT_S = 30
OTHERS = (
    record(by_rollout("checkout", "launch"), 1),
    record(rollout("launch", "checkout", Reach("canary", 500_000)), 1),
    record(MetricDeclaration("errors", Measures.PROPORTION, Per.EVENT), 1),
)
BEFORE = (record(boolean("a"), 1), *OTHERS)
AFTER = (record(boolean("a", on=False), 2), *OTHERS)


class Fleet(telemetry_pb2_grpc.TelemetryServiceServicer):
    """What is known of the processes. Flag "a" is on until `flip`; "checkout" is half exposed, with metric "errors".

    Attributes:
        target: where it listens.
        hellos: in the order in which they came.
        goodbyes: instances that left on purpose.
        current: instances that said that they have the change in force.
    """

    def __init__(self) -> None:
        self.hellos: list[delivery_pb2.Hello] = []
        self.goodbyes: set[str] = set()
        self.current: set[str] = set()
        self.target = ""
        self._reports: dict[tuple[str, int], telemetry_pb2.ReportRequest] = {}
        self._streams: list[Stream] = []
        self._is_flipped = False
        self._changed = threading.Condition()

    def flip(self) -> None:
        """Turn the flag off for everybody."""
        with self._changed:
            self._is_flipped = True
            for stream in self._streams:
                stream.send(update(position(2), AFTER[:1], base=1, holding=AFTER))

    def wait_for(self, condition: Callable[[], object], seconds: float = WAIT_S) -> None:
        """Wait until something that processes say makes it true."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), self.seen()

    def wait_for_processes(self, count: int) -> set[int]:
        """Wait until so many processes came; return which."""
        self.wait_for(lambda: len(self.pids) >= count)
        return self.pids

    def flip_when(self, count: int) -> None:
        """Turn the flag off as soon as so many processes are there."""

        def flip() -> None:
            self.wait_for_processes(count)
            self.flip()

        threading.Thread(target=flip, daemon=True).start()

    @property
    def pids(self) -> set[int]:
        """Processes that came."""
        return {hello.pid for hello in self.hellos}

    @property
    def instances(self) -> set[str]:
        """Identities under which they came."""
        return {hello.instance_id for hello in self.hellos}

    @property
    def outcomes(self) -> int:
        """Outcomes of "errors" that were reported, each once."""
        return sum(
            sum(events.bucket_n)
            for report in self._reports.values()
            for window in report.windows
            for run in window.runs
            for arm in run.arms
            for events in arm.events
        )

    def seen(self) -> str:
        """For people, when a test waited in vain."""
        return f"pids {self.pids}, left {len(self.goodbyes)}, current {len(self.current)}, outcomes {self.outcomes}"

    def greet(self, stream: Stream) -> None:
        """Serve one stream to its end."""
        first = stream.receive()
        if first is None:
            return
        instance = first.hello.instance_id
        with self._changed:
            self.hellos.append(first.hello)
            revision, rules = (2, AFTER) if self._is_flipped else (1, BEFORE)
            is_current = first.hello.held.revision == revision
            stream.send(bookmark(position(revision), rules) if is_current else update(position(revision), rules))
            self._streams.append(stream)
            self._changed.notify_all()
        while (request := stream.receive()) is not None:
            with self._changed:
                if request.WhichOneof("message") == "goodbye":
                    self.goodbyes.add(instance)
                elif request.acknowledge.position.revision == 2:
                    self.current.add(instance)
                self._changed.notify_all()

    def Report(  # noqa: N802 - the contract's name
        self, request: telemetry_pb2.ReportRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.ReportResponse:
        with self._changed:
            self._reports[request.instance_id, request.sequence] = request
            self._changed.notify_all()
        return telemetry_pb2.ReportResponse(report_every_ms=60_000)


@contextmanager
def serving_fleet() -> Iterator[Fleet]:
    """Listen on loopback until the test is over."""
    fleet = Fleet()

    def add(server: grpc.Server) -> None:
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(fleet, server)

    with DeliveryServer(patience_s=None, beside=add) as server:
        fleet.target = server.target

        def serve() -> None:
            while True:
                stream = server.stream()
                threading.Thread(target=fleet.greet, args=(stream,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield fleet
