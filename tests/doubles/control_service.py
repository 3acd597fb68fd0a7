"""A control service that answers what a test told it to, over real gRPC on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc

Answer = Any
"""A message, a list of messages for a streaming call, a `Refusal`, or a callable from the request to one of them."""


@dataclass(frozen=True)
class Refusal:
    """What the server says no with."""

    status: grpc.StatusCode
    message: str
    detail: pb.ErrorDetail | None = None


@dataclass
class Call:
    """One call as it arrived; a streaming request is a list."""

    method: str
    request: Any
    metadata: dict[str, str]


@dataclass
class ScriptedControl:
    """Answers by method name; a list of `Script`ed answers is used up one by one, the last one stays.

    Attributes:
        answers: method to its answers in order.
        calls: everything that was asked, in order.
    """

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def on(self, method: str, *answers: Answer) -> ScriptedControl:
        """Answer `method` with these, one call after the other; the last one again and again."""
        self.answers[method] = list(answers)
        return self

    def requests(self, method: str) -> list[Any]:
        """Return the requests that arrived at one method."""
        return [call.request for call in self.calls if call.method == method]

    def handle(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Record the call, and yield the answer's messages."""
        asked = list(request) if isinstance(request, Iterator) else request
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        self.calls.append(Call(method, asked, metadata))
        queue = self.answers.get(method)
        if not queue:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the test has no answer for {method}")
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        answer = answer(asked) if callable(answer) else answer
        if isinstance(answer, Refusal):
            if answer.detail is not None:
                context.set_trailing_metadata((("rollout-error-bin", answer.detail.SerializeToString()),))
            context.abort(answer.status, answer.message)
        yield from answer if isinstance(answer, list) else [answer]


def _servicer(scripted: ScriptedControl) -> control_pb2_grpc.ControlServiceServicer:
    service = pb.DESCRIPTOR.services_by_name["ControlService"]

    def unary(name: str) -> Callable[..., Any]:
        return lambda _self, request, context: next(scripted.handle(name, request, context))

    def stream(name: str) -> Callable[..., Any]:
        return lambda _self, request, context: scripted.handle(name, request, context)

    methods = {method.name: (stream if method.server_streaming else unary)(method.name) for method in service.methods}
    made = type("Scripted", (control_pb2_grpc.ControlServiceServicer,), methods)()
    assert isinstance(made, control_pb2_grpc.ControlServiceServicer)
    return made


@contextmanager
def serving(scripted: ScriptedControl) -> Iterator[str]:
    """Serve on a free port of loopback; yield "127.0.0.1:port"."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    control_pb2_grpc.add_ControlServiceServicer_to_server(_servicer(scripted), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
