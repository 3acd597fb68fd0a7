"""The control contract's words and ours are the same, one by one."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_control as convert
from rollout_server.app.environment import At
from rollout_server.app.instance import InstanceState
from rollout_server.domain.diff import Operation
from rollout_server.domain.resources import Kind
from rollout_server.errors import InvalidInput


def test_every_operation_and_every_state_has_its_word() -> None:
    """A new one that nobody maps fails here, not at 3 a.m."""
    assert {pb.Operation.Name(value) for value in convert._OPERATIONS.values()} == {
        f"OPERATION_{one.name}" for one in Operation
    }
    assert {pb.InstanceState.Name(value) for value in convert._STATES.values()} == {
        f"INSTANCE_STATE_{one.name}" for one in InstanceState
    }


@pytest.mark.parametrize(("text", "kind"), [("Flag", Kind.FLAG), ("flag", Kind.FLAG), ("COHORT", Kind.COHORT)])
def test_a_kind_is_read_as_people_type_it(text: str, kind: Kind) -> None:
    assert convert.kind_of(text) is kind


@pytest.mark.parametrize("text", ["", "Token", "token", "Flags", "x" * 9_999])
def test_a_kind_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    """Tokens are no kind of resource here: they have calls of their own, and rights of their own."""
    with pytest.raises(InvalidInput, match="there is no kind") as caught:
        convert.kind_of(text)
    assert (
        caught.value.problems[0].hint == "kinds are: flag, cohort, metric, pipeline, rollout, freeze, channel, policy"
    )
    assert len(caught.value.problems[0].message) < 200


def test_a_point_of_history_is_a_revision_a_time_or_now() -> None:
    assert convert.at_of(pb.At()) == At()
    assert convert.at_of(pb.At(revision=0)) == At(revision=0)
    assert convert.at_of(pb.At(time_ms=5)) == At(time_ms=5)


def test_a_head_kept_elsewhere_may_be_missing() -> None:
    assert convert.expected_of(pb.VerifyAuditRequest()) is None
    request = pb.VerifyAuditRequest()
    request.expected_head.revision = 3
    expected = convert.expected_of(request)
    assert expected is not None
    assert expected.revision == 3
