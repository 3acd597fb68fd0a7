"""Names of resources and points of history, as people type them."""

from __future__ import annotations

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli import references
from rollout_server.cli.failures import CommandFailed
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

MISSING = Refusal(grpc.StatusCode.NOT_FOUND, "none", pb.ErrorDetail(code="not_found"))


def test_kind_and_key() -> None:
    assert references.split("checkout") == ("", "checkout")
    assert references.split("Flag/checkout") == ("Flag", "checkout")
    assert references.split("cohorts/beta") == ("Cohort", "beta")


@pytest.mark.parametrize(
    ("text", "hint"),
    [("flga/x", "did you mean flag"), ("zzz/x", "kinds: Channel, Cohort, Flag"), ("flag/", "flag/KEY")],
)
def test_a_kind_that_is_none(text: str, hint: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        references.split(text)
    assert hint in failed.value.hint


def test_a_flag_is_named_with_or_without_its_kind() -> None:
    assert references.flag_key("flag/a") == references.flag_key("a") == "a"
    with pytest.raises(CommandFailed, match="is no flag"):
        references.flag_key("cohort/a")


def test_a_name_that_is_nowhere_is_suggested_from_what_is_there(rollout: CommandLine, control: ScriptedControl) -> None:
    listed = [
        pb.Resource(document=pb.Document(kind=kind, key=key)) for kind, key in (("Flag", "a-b"), ("Cohort", "beta"))
    ]
    control.on("GetResource", MISSING).on("ListResources", pb.ListResourcesResponse(resources=listed))
    outcome = rollout("describe", "betta")
    assert outcome.code == 1
    assert "there is no resource 'betta' in production" in outcome.err
    assert "did you mean beta?" in outcome.err
    assert [request.kind for request in control.requests("GetResource")] == [
        "Flag",
        "Cohort",
        "Rollout",
        "Pipeline",
        "Metric",
    ]
    far = rollout("get", "flag/zzzz")
    assert "see what there is: rollout get flags" in far.err
