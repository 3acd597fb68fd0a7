"""`rollout get`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.doubles.standing_resources import cohort, flag


def test_a_list(rollout: CommandLine, control: ScriptedControl) -> None:
    listed = [cohort("beta", version=2), flag("cart", version=3, killed=True)]
    control.on("ListResources", pb.ListResourcesResponse(resources=listed, position=Position(revision=5)))
    outcome = rollout("get")
    assert outcome.err == "production · revision 5 · 2 resources\n"
    assert outcome.out == (
        "RESOURCE     STATUS    VERSION  OWNER\ncohort/beta                  2\nflag/cart    ✘ killed        3  shop\n"
    )


def test_a_kind(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListResources", pb.ListResourcesResponse())
    outcome = rollout("get", "cohorts", "--rev", "3")
    (request,) = control.requests("ListResources")
    assert (request.kind, request.at.revision) == ("Cohort", 3)
    assert outcome.out == "no cohorts here; write one and try: rollout apply -f flags.yaml\n"


def test_one_resource_is_its_document_and_can_be_applied_on_top_of_its_version(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("GetResource", pb.GetResourceResponse(resource=flag("cart", version=3, default="on")))
    outcome = rollout("get", "cart")
    assert outcome.out == ('kind: Flag\nmetadata: {key: cart, owner: shop, version: 3}\nspec:\n  default: "on"\n')


def test_json_has_status_and_version_beside_the_document(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetResource", pb.GetResourceResponse(resource=flag("cart", version=3)))
    data = rollout("get", "flag/cart", "-o", "json").data
    assert list(data) == ["environment", "kind", "metadata", "spec", "status", "version", "dependents"]
