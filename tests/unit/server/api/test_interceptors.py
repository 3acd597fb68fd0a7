"""The door: what is sent is bounded, what goes wrong is translated, and nothing private is told. Rights: tests/e2e."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api.calls import Calls
from rollout_server.api.error_map import DETAIL_KEY
from rollout_server.api.interceptors import MESSAGE_BYTES, Door
from rollout_server.api.metrics import Metrics
from rollout_server.logs import configure
from tests.small_server import Metadata, World, document, flag, world

CANARY = "canary-7719"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("debug", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def detail_of(error: grpc.aio.AioRpcError) -> pb.ErrorDetail:
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_KEY:
            assert isinstance(value, bytes)
            return pb.ErrorDetail.FromString(value)
    raise AssertionError("no detail")


async def ask(channel: grpc.aio.Channel, method: str, data: bytes, metadata: Metadata) -> grpc.aio.AioRpcError | None:
    """Send these bytes; return the refusal, if it is one."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/rollout.v1.ControlService/{method}")
    try:
        await call(data, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def refused(around: World, method: str, data: bytes) -> grpc.aio.AioRpcError:
    error = await ask(around.channel, method, data, around.admin.metadata)
    assert error is not None
    return error


async def test_every_problem_travels_with_its_place(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await around.admin.apply(document("Flag", "a", {"defalt": "on"}), document("Flag", "b", {"unit": 7}))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        detail = detail_of(caught.value)
        assert detail.code == "invalid_input"
        assert {problem.origin for problem in detail.problems} == {"a.yaml:1", "b.yaml:1"}


async def test_a_caller_that_takes_more_is_told_all(tmp_path: Path) -> None:
    """Beyond 8 KiB a default channel loses the answer; one that says so gets every problem."""
    documents = [document("Flag", f"flag-{n}", {"defalt": "on"}) for n in range(300)]
    async with world(tmp_path) as around:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await around.admin.apply(*documents)
        assert detail_of(caught.value).problems[-1].code == "more_problems"
        options = (("grpc.max_metadata_size", 4 << 20),)
        async with grpc.aio.insecure_channel(around.running.address, options) as channel:
            metadata = (*around.admin.metadata, ("rollout-error-bytes", str(4 << 20)))
            error = await ask(channel, "Apply", pb.ApplyRequest(documents=documents).SerializeToString(), metadata)
        assert error is not None
        assert len(detail_of(error).problems) == 300


async def test_small_calls_take_small_messages(tmp_path: Path) -> None:
    """Only what takes documents takes much (S7)."""
    async with world(tmp_path) as around:
        huge = pb.ExplainRequest(flag="a" * (MESSAGE_BYTES + 1)).SerializeToString()
        error = await refused(around, "Explain", huge)
        assert (error.code(), detail_of(error).problems[0].code) == (grpc.StatusCode.INVALID_ARGUMENT, "too_large")
        applied = pb.ApplyRequest(documents=[pb.Document(json="x" * (MESSAGE_BYTES + 1))]).SerializeToString()
        assert detail_of(await refused(around, "Apply", applied)).problems[0].code != "too_large"
        error = await refused(around, "Apply", b"\x0a" + b"\xff" * (65 << 20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_what_is_no_message_is_said_to_be_none(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        error = await refused(around, "Kill", b"\xff\xff\xff")
        assert detail_of(error).problems[0].code == "unreadable_message"


async def test_who_has_no_token_is_denied_before_anything_is_read(tmp_path: Path) -> None:
    """The answer does not wait for a message."""
    async with world(tmp_path) as around:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = around.channel.stream_stream(
            "/rollout.v1.ControlService/Plan"
        )()
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_bug_is_an_incident_and_tells_nothing(tmp_path: Path, log: io.StringIO) -> None:
    """INTERNAL with an id that names the log line; neither holds what the caller sent."""
    async with world(tmp_path, log_level="debug") as around:
        served = around.running.served["production"]

        def broken() -> object:
            raise ValueError(CANARY)

        served.instances.views = broken  # type: ignore[method-assign, assignment]
        error = await refused(around, "ListInstances", b"")
        assert error.code() is grpc.StatusCode.INTERNAL
        incident_id = detail_of(error).incident_id
        assert CANARY not in f"{error.details()}{error.trailing_metadata()}"
    (line,) = [entry for entry in map(json.loads, log.getvalue().splitlines()) if entry["event"] == "bug"]
    assert (line["incident_id"], line["error_type"]) == (incident_id, "builtins.ValueError")
    assert any("broken" in frame for frame in line["frames"])
    assert CANARY not in log.getvalue()


async def test_every_call_is_logged_with_who_and_how(tmp_path: Path, log: io.StringIO) -> None:
    async with world(tmp_path, log_level="debug") as around:
        await around.admin.apply(flag("checkout"))
    lines = [entry for entry in map(json.loads, log.getvalue().splitlines()) if entry["event"] == "call"]
    (line,) = [entry for entry in lines if entry["method"].endswith("/Apply")]
    assert (line["code"], line["role"], line["environment"]) == ("OK", "admin", "production")
    assert len(line["token_id"]) == 8


async def test_nothing_secret_or_personal_is_logged(tmp_path: Path, log: io.StringIO) -> None:
    """Canaries in every context field, header and name: none comes out (S10)."""
    context = json.dumps({"units": {"user": CANARY}, "attributes": {"email": CANARY, "deep": {"x": [CANARY]}}})
    async with world(tmp_path, log_level="debug") as around:
        await around.admin.apply(flag("checkout"))
        await around.admin.stub.Explain(
            pb.ExplainRequest(flag="checkout", context_json=context), metadata=around.admin.metadata
        )
        await refused(around, "Explain", pb.ExplainRequest(flag=CANARY, context_json=context).SerializeToString())
        await refused(around, "Explain", pb.ExplainRequest(flag="checkout", context_json=CANARY).SerializeToString())
        process = await around.process(service=CANARY, host=CANARY, sdk_version=CANARY)
        await process.next()
        await process.acknowledge(CANARY)
        for headers in (
            (("authorization", f"Bearer {CANARY}"),),
            (*around.admin.metadata, ("rollout-environment", CANARY)),
        ):
            error = await ask(around.channel, "GetStatus", b"", headers)
            assert error is not None
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert not await ask(around.channel, "GetStatus", b"", (*around.admin.metadata, ("x-anything", CANARY)))
        secrets = [dict(person)["authorization"].split("_")[2] for person in (around.admin.metadata, around.sdk)]
    assert log.getvalue().count('"call"') > 5
    assert CANARY not in log.getvalue()
    assert not any(secret in log.getvalue() for secret in secrets)


@pytest.mark.parametrize("answers_with_a_stream", [False, True])
async def test_a_single_answer_leaves_with_its_status(answers_with_a_stream: bool) -> None:  # noqa: FBT001 - a case
    """Written as a stream's message it would wait for its status behind all that the loop has to do by then."""

    async def behave(_request: object, _context: object) -> None:
        """Nobody calls it."""

    kind = grpc.unary_stream_rpc_method_handler if answers_with_a_stream else grpc.unary_unary_rpc_method_handler
    registered: Any = kind(behave)

    async def find(_details: grpc.HandlerCallDetails) -> Any:
        return registered

    details: Any = SimpleNamespace(method="/rollout.v1.ControlService/GetStatus")
    door: Any = await Door({}, Calls(1, 1), Metrics(list, "", is_durable=False)).intercept_service(find, details)
    assert door.request_streaming
    assert door.response_streaming == answers_with_a_stream
