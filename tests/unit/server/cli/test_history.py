"""`rollout history`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl

CHANGE = pb.ResourceChange(
    kind="Flag",
    key="checkout",
    operation=pb.OPERATION_UPDATE,
    version_before=3,
    version_after=9,
    fields=[pb.FieldChange(path="spec.rules[trial].split.on", before_json='"25%"', after_json='"50%"')],
)
ENTRY = pb.Entry(
    revision=9,
    at_ms=NOW_MS - 60_000,
    actor="jo@example.com (ffeeddcc)",
    action="apply",
    reason="more",
    changes=[CHANGE],
    digest=b"\xab",
)


def test_one_line_for_each_entry(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY], oldest_revision=1))
    outcome = rollout("history", "flag/checkout")
    assert outcome.err == "production · flag/checkout\n"
    assert outcome.out == (
        "REV  WHEN    ACTION  BY              CHANGED        REASON\n"
        "  9  1m ago  apply   jo@example.com  flag/checkout  more\n"
    )
    request = control.requests("ListHistory")[0]
    assert (request.kind, request.key, request.limit) == ("Flag", "checkout", 20)


def test_fields_before_and_after(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY]))
    assert rollout("history", "--fields").out == (
        "revision 9 · apply by jo@example.com (ffeeddcc) · 2026-11-18 11:05:40Z\n"
        "  reason: more\n"
        "~ flag/checkout  update  version 3\n"
        '    spec.rules[trial].split.on  "25%" -> "50%"\n'
        "  undo: rollout revert 9\n"
        "\n"
    )


def test_a_full_page_says_how_to_go_on(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY], oldest_revision=1))
    assert rollout("history", "-n", "1").err.endswith("older: rollout history --before 9\n")


def test_of_one_resource_the_others_are_only_counted(rollout: CommandLine, control: ScriptedControl) -> None:
    many = pb.Entry(revision=9, changes=[pb.ResourceChange(kind="Flag", key=key) for key in ("a", "b", "c", "d")])
    control.on("ListHistory", pb.ListHistoryResponse(entries=[many]))
    assert "flag/c and 3 more" in rollout("history", "flag/c").out
    assert "flag/a, flag/b, flag/c and 1 more" in rollout("history").out


def test_a_bare_key_is_looked_up(rollout: CommandLine, control: ScriptedControl) -> None:
    found = pb.Resource(document=pb.Document(kind="Cohort", key="beta"))
    control.on("GetResource", pb.GetResourceResponse(resource=found)).on("ListHistory", pb.ListHistoryResponse())
    outcome = rollout("history", "beta")
    assert control.requests("ListHistory")[0].kind == "Cohort"
    assert "nothing has changed here yet" in outcome.out


def test_json(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListHistory", pb.ListHistoryResponse(entries=[ENTRY], oldest_revision=1))
    data = rollout("history", "-o", "json").data
    assert data["oldest_revision"] == 1
    assert data["entries"][0]["changes"][0]["fields"] == [
        {"path": "spec.rules[trial].split.on", "before": "25%", "after": "50%"}
    ]
