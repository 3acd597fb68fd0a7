"""Refusals as gRPC speaks of them: the one place that knows both."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import grpc

from rollout_sdk.wire.v1 import control_pb2
from rollout_server.errors import (
    Conflict,
    Corrupt,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    RolloutError,
    Unavailable,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.problems import Problem

DETAIL_KEY = "rollout-error-bin"
"""Trailing metadata that carries an `ErrorDetail`."""

DETAIL_BYTES_KEY = "rollout-error-bytes"
"""Metadata in which a caller says how many bytes of `ErrorDetail` it takes; its channel must allow as many."""

DETAIL_BYTES = 6_144
"""What every gRPC client takes: beyond 8 KiB of trailing metadata a default channel loses the whole answer."""

DETAIL_BYTES_MAX = 4 * 1024 * 1024
_MESSAGE_LENGTH_MAX = 1_024
_HINT_LENGTH_MAX = 1_024
_PROBLEM_OVERHEAD_BYTES = 8

STATUS: Mapping[type[RolloutError], grpc.StatusCode] = MappingProxyType(
    {
        InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
        NotFound: grpc.StatusCode.NOT_FOUND,
        Conflict: grpc.StatusCode.ABORTED,
        Refused: grpc.StatusCode.FAILED_PRECONDITION,
        Forbidden: grpc.StatusCode.PERMISSION_DENIED,
        Unavailable: grpc.StatusCode.UNAVAILABLE,
        Unknown: grpc.StatusCode.UNAVAILABLE,  # not UNKNOWN, which clients take for a bug and do not repeat
        Corrupt: grpc.StatusCode.DATA_LOSS,
    }
)


class Answer(NamedTuple):
    """A refusal on the wire."""

    status: grpc.StatusCode
    message: str
    detail: bytes


def answer(error: RolloutError, detail_bytes: int = DETAIL_BYTES) -> Answer:
    """Translate a refusal.

    Args:
        error: of any class below RolloutError; the nearest one in `STATUS` counts.
        detail_bytes: problems beyond this many bytes are counted instead of told.
    """
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    detail = control_pb2.ErrorDetail(code=error.code, hint=error.hint[:_HINT_LENGTH_MAX])
    if isinstance(error, InvalidInput):
        _add_problems(detail, error.problems, detail_bytes)
    return Answer(status, str(error)[:_MESSAGE_LENGTH_MAX], detail.SerializeToString())


def bug(incident_id: str) -> Answer:
    """Answer for a bug of ours: an id that names the log line, and nothing else."""
    hint = "this is a bug of the server; report it with the incident's id, which names the line in its log"
    detail = control_pb2.ErrorDetail(code="internal", hint=hint, incident_id=incident_id)
    return Answer(grpc.StatusCode.INTERNAL, f"incident {incident_id}", detail.SerializeToString())


def accepted_detail_bytes(metadata: Iterable[tuple[str, str | bytes]]) -> int:
    """Return how large a detail the caller takes, as its metadata says."""
    said = next((value for key, value in metadata if key == DETAIL_BYTES_KEY), "")
    text = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(DETAIL_BYTES_MAX))):
        return DETAIL_BYTES
    return min(max(int(text), DETAIL_BYTES), DETAIL_BYTES_MAX)


def _add_problems(detail: control_pb2.ErrorDetail, problems: tuple[Problem, ...], detail_bytes: int) -> None:
    room_bytes = detail_bytes - detail.ByteSize() - 256  # for the line that counts the rest
    for number, problem in enumerate(problems):
        message = control_pb2.Problem(
            origin=problem.origin,
            resource=problem.resource,
            path=problem.path,
            code=problem.code,
            message=problem.message[:_MESSAGE_LENGTH_MAX],
            hint=problem.hint[:_HINT_LENGTH_MAX],
        )
        room_bytes -= message.ByteSize() + _PROBLEM_OVERHEAD_BYTES
        if room_bytes < 0:
            rest = len(problems) - number
            hint = "mend those listed and try again, or let the client accept a larger answer"
            detail.problems.add(code="more_problems", message=f"and {rest} more that do not fit here", hint=hint)
            return
        detail.problems.append(message)
