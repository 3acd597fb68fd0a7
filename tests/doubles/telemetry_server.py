"""A telemetry server that tests script: real gRPC, and every report it was sent, acknowledged or not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc

from rollout_sdk.wire.v1 import telemetry_pb2, telemetry_pb2_grpc


class TelemetryServer(telemetry_pb2_grpc.TelemetryServiceServicer):
    """Answers as `answer` says; `heard` wakes whenever a report came."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[telemetry_pb2.ReportRequest] = []
        self.taken: list[telemetry_pb2.ReportRequest] = []
        self.answer: grpc.StatusCode | None = None
        self.loses_answers = False
        self.report_every_ms = 100
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.heard = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(8))
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"

    def Report(  # noqa: N802 - the contract's name
        self, request: telemetry_pb2.ReportRequest, context: grpc.ServicerContext
    ) -> telemetry_pb2.ReportResponse:
        with self.heard:
            self.requests.append(request)
            code = self.answer
            if code is None:
                self.taken.append(request)
            self.heard.notify_all()
        self.may_answer.wait(20)
        if code is not None or self.loses_answers:
            context.abort(code or grpc.StatusCode.UNAVAILABLE, "as the test says")
        return telemetry_pb2.ReportResponse(report_every_ms=self.report_every_ms)

    def wait(self, count: int) -> None:
        """Wait for this many requests in all."""
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.requests) >= count, 20), "no report came"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
