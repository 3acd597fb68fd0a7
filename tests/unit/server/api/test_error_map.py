"""Every refusal has its status, and fits into what a client takes."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.v1 import control_pb2
from rollout_server import errors
from rollout_server.api.error_map import DETAIL_BYTES, STATUS, accepted_detail_bytes, answer, bug

SAMPLES = (
    (errors.InvalidInput([Problem("flag/a", "spec", "wrong", "it is wrong")]), grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound("flag", "a"), grpc.StatusCode.NOT_FOUND),
    (errors.Conflict("flag/a", 1, 2), grpc.StatusCode.ABORTED),
    (errors.Refused("frozen", "no"), grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Forbidden("no"), grpc.StatusCode.PERMISSION_DENIED),
    (errors.Unavailable("store", "away"), grpc.StatusCode.UNAVAILABLE),
    (errors.Unknown("store", "no answer"), grpc.StatusCode.UNAVAILABLE),
    (errors.Corrupt("journal", "torn"), grpc.StatusCode.DATA_LOSS),
)


def subclasses(kind: type[errors.RolloutError]) -> Iterator[type[errors.RolloutError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def detail(data: bytes) -> control_pb2.ErrorDetail:
    return control_pb2.ErrorDetail.FromString(data)


def test_the_map_is_total() -> None:
    """A new class of refusal has no status until somebody chose one."""
    ours = {kind for kind in subclasses(errors.RolloutError) if kind.__module__.startswith("rollout_server")}
    assert {kind for kind in ours if not any(base in STATUS for base in kind.__mro__)} == set()
    assert {type(error) for error, _ in SAMPLES} == set(STATUS)


@pytest.mark.parametrize(("error", "status"), SAMPLES)
def test_each_refusal_has_the_status_of_the_design(error: errors.RolloutError, status: grpc.StatusCode) -> None:
    told = answer(error)
    assert told.status is status
    assert told.message == str(error)
    assert (detail(told.detail).code, detail(told.detail).hint) == (error.code, error.hint)


def test_all_problems_travel_with_their_places() -> None:
    problems = [Problem(f"flag/{n}", f"spec.rules[{n}]", "c", "m", "h", "f.yaml:1") for n in range(20)]
    told = detail(answer(errors.InvalidInput(problems)).detail)
    assert [(p.origin, p.resource, p.path, p.code, p.message, p.hint) for p in told.problems] == [
        (p.origin, p.resource, p.path, p.code, p.message, p.hint) for p in problems
    ]


def test_problems_that_do_not_fit_are_counted() -> None:
    """A default channel loses an answer of more than 8 KiB whole; this one says how many more there are."""
    problems = [Problem(f"flag/{n}", "spec", "c", "x" * 200) for n in range(5_000)]
    told = answer(errors.InvalidInput(problems, "h" * 5_000))
    assert len(told.detail) <= DETAIL_BYTES
    assert len(told.message) <= 1_024
    listed = detail(told.detail).problems
    assert listed[-1].message == f"and {5_000 - len(listed) + 1} more that do not fit here"
    whole = detail(answer(errors.InvalidInput(problems), 4_000_000).detail)
    assert len(whole.problems) == 5_000


@pytest.mark.parametrize(
    ("said", "bytes_"),
    [
        (None, 6_144),
        ("9000", 9_000),
        ("1", 6_144),
        ("99999999", 6_144),
        ("9999999", 4 << 20),
        ("-1", 6_144),
        ("٣", 6_144),
    ],
)
def test_a_caller_may_ask_for_more_room(said: str | None, bytes_: int) -> None:
    assert accepted_detail_bytes([] if said is None else [("rollout-error-bytes", said)]) == bytes_


def test_a_bug_tells_an_id_and_nothing_else() -> None:
    told = bug("abc123")
    assert (told.status, told.message, detail(told.detail).incident_id) == (
        grpc.StatusCode.INTERNAL,
        "incident abc123",
        "abc123",
    )
