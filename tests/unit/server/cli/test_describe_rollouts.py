"""Rollouts and what they need, told in full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.rollout_scenes import got, launch

EVENT = pb.Event(
    id="launch/3/1", revision=4, at_ms=NOW_MS - 60_000, rollout="launch", run=3, kind="held",
    sentence="launch run 3 is held", actor="engine", deliveries=["pager: delivered"],
)  # fmt: skip


def there(control: ScriptedControl, kind: str, key: str, spec: dict[str, Any]) -> None:
    document = pb.Document(kind=kind, key=key, json=json.dumps({"metadata": {"key": key}, "spec": spec}))
    control.on("GetResource", pb.GetResourceResponse(resource=pb.Resource(document=document, version=4)))
    control.on("ListHistory", pb.ListHistoryResponse())


def test_a_rollout_is_its_tree_and_what_happened(rollout: CommandLine, control: ScriptedControl) -> None:
    """With who was told."""
    rollout.width = 130
    there(control, "Rollout", "launch", {})
    control.on("GetRollout", *got(launch())).on("ListEvents", pb.ListEventsResponse(events=[EVENT]))
    out = rollout("describe", "rollout/launch").out
    assert "├── quarter" in out
    assert "launch run 3 is held" in out
    assert "told  held, pager: delivered" in out
    data = rollout("describe", "launch", "-o", "json").data
    assert data["rollout"]["key"] == "launch"
    assert data["events"][0]["deliveries"] == ["pager: delivered"]


def test_a_pipeline_is_its_stages_and_guardrails(rollout: CommandLine, control: ScriptedControl) -> None:
    """Each in a line, in the words of files."""
    rollout.width = 130
    stage = {"name": "canary", "audience": {"cohort": "staff"}, "share": "1%", "soak": "1h",
             "exit": {"guardrails": "healthy", "approval": {"from": "managers", "count": 1}}}  # fmt: skip
    guardrail = {"metric": "errors", "limit": {"relative": "+20%", "at_least": "0.1pp"}, "action": "rollback"}
    there(control, "Pipeline", "careful", {"stages": [stage], "guardrails": [guardrail], "finish": {"share": "100%"}})
    out = rollout("describe", "pipeline/careful").out
    row = next(" ".join(line.split()) for line in out.splitlines() if line.startswith("canary"))
    assert row.startswith("canary in cohort staff 1% 1h guardrails healthy, approval from managers, count 1")
    assert "relative +20%, at_least 0.1pp" in out
    assert "Finish:" in out


@pytest.mark.parametrize(
    ("kind", "spec", "line"),
    [
        ("Metric", {"measures": "proportion", "late": "2m"}, "Measures:  proportion"),
        ("Freeze", {"from": "FRI 16:00", "to": "MON 08:00", "tags": ["web", "app"]}, "web, app"),
        ("Channel", {"webhook": "https://example.com", "secret": {"env": "PAGER"}}, "env PAGER"),
        ("Policy", {"groups": {"managers": ["mia", "kai"]}}, "managers mia, kai"),
    ],
)
def test_other_kinds_are_their_fields(
    rollout: CommandLine, control: ScriptedControl, kind: str, spec: dict[str, Any], line: str
) -> None:
    """As people wrote them."""
    there(control, kind, "it", spec)
    assert line in rollout("describe", f"{kind.lower()}/it").out
