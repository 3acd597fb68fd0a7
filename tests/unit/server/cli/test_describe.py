"""`rollout describe`: one resource in full, in words."""

from __future__ import annotations

import json

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl

FLAG = {
    "kind": "Flag",
    "metadata": {"key": "checkout", "owner": "payments", "tags": ["web"]},
    "spec": {
        "never": ["regulated", {"attribute": "country", "equals": "US"}],
        "requires": [{"flag": "new-cart", "variants": ["on"]}],
        "targets": {"on": ["u-1", "u-2", "u-3", "u-4", "u-5", "u-6"]},
        "rules": [
            {"id": "staff", "when": {"attribute": "email", "ends_with": "@example.com"}, "serve": "on"},
            {"id": "trial", "split": {"on": "25%", "off": "75%"}},
        ],
    },
}
KILL = pb.Entry(revision=7, at_ms=NOW_MS - 60_000, actor="mia (rg_1)", action="kill")


def stands(document: object, status: object, kind: str, key: str) -> pb.GetResourceResponse:
    return pb.GetResourceResponse(
        resource=pb.Resource(
            document=pb.Document(kind=kind, key=key, json=json.dumps(document)),
            status_json=json.dumps(status),
            version=7,
            dependents=["flag/other"],
        )
    )


def test_a_killed_flag_at_80_columns(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetResource", stands(FLAG, {"killed": True, "salt": "abcdefghijklmnop"}, "Flag", "checkout"))
    control.on("ListHistory", pb.ListHistoryResponse(entries=[KILL]))
    outcome = rollout("describe", "checkout")
    assert outcome.err == "production · flag/checkout\n"
    assert outcome.out == (
        "Flag:      checkout  (production)\n"
        "Status:    ✘ killed by mia 1m ago: `off` to everybody\n"
        "Type:      boolean\n"
        "Variants:  on = true, off = false\n"
        "Unit:      user\n"
        "Salt:      abcdefghijklmnop\n"
        "Owner:     payments\n"
        "Tags:      web\n"
        "Version:   7, kill by mia 1m ago\n"
        "Used by:   flag/other\n"
        "\n"
        "STEP        WHO                                        GETS\n"
        "killed      everybody; what follows is not reached     off\n"
        "never       in cohort regulated, or unknown            off\n"
        'never       country equals "US", or unknown            off\n'
        "requires    unless new-cart serves on                  off\n"
        "targets     u-1, u-2, u-3, u-4, u-5, … 6 users in all  on\n"
        'rule staff  email ends with "@example.com"             on\n'
        "rule trial  everybody                                  on 25 %, off 75 %\n"
        "default     everybody else                             off\n"
        "\n"
        "REV  WHEN    ACTION  BY\n"
        "  7  1m ago  kill    mia\n"
    )


def test_a_cohort(rollout: CommandLine, control: ScriptedControl) -> None:
    cohort = {"kind": "Cohort", "metadata": {"key": "beta"}, "spec": {"unit": "tenant", "include": ["t-1"]}}
    control.on("GetResource", stands(cohort, {}, "Cohort", "beta")).on("ListHistory", pb.ListHistoryResponse())
    out = rollout("describe", "cohort/beta").out
    assert "Unit:     tenant\nInclude:  t-1\n" in out
    assert "STEP" not in out


def test_a_flag_of_a_later_release_is_still_described(rollout: CommandLine, control: ScriptedControl) -> None:
    odd = {"kind": "Flag", "spec": {"rules": [{"id": "x", "rollout": "y"}, 5], "variants": [], "never": 3}}
    control.on("GetResource", stands(odd, None, "Flag", "x")).on("ListHistory", pb.ListHistoryResponse())
    outcome = rollout("describe", "x")
    assert outcome.code == 0
    assert "rule x" in outcome.out


def test_json(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetResource", stands(FLAG, {"killed": False}, "Flag", "checkout"))
    control.on("ListHistory", pb.ListHistoryResponse(entries=[KILL]))
    data = rollout("describe", "checkout", "-o", "json").data
    assert data["spec"] == FLAG["spec"]
    assert (data["version"], data["status"], data["history"][0]["revision"]) == (7, {"killed": False}, 7)
