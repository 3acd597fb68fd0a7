"""`rollout explain`: the answer in a sentence, then the way to it as a tree."""

from __future__ import annotations

import json

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from rollout_server.cli.explain import _tree
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

STEPS = [
    pb.ExplainStep(label="killed", result="false"),
    pb.ExplainStep(label="rule staff", result="unknown"),
    pb.ExplainStep(
        depth=1, label='attribute email ends_with "@example.com"', result="unknown", detail="email is missing"
    ),
    pb.ExplainStep(label="rule trial", result="true", detail='bucket 220582 of user "u-9" is in 0..249999'),
    pb.ExplainStep(depth=1, label="all", result="true"),
    pb.ExplainStep(depth=2, label="cohort beta", result="true"),
    pb.ExplainStep(depth=3, label='attribute plan equals "pro"', result="true", detail='plan is "pro"'),
    pb.ExplainStep(depth=2, label="not", result="true"),
    pb.ExplainStep(label="default"),
]


def answer(reason: str, variant: str | None = "on", rule: str | None = None) -> pb.ExplainResponse:
    decision = {"flag": "cart", "variant": variant, "value": True, "reason": reason, "rule": rule}
    return pb.ExplainResponse(decision_json=json.dumps(decision), steps=STEPS, position=Position(revision=9))


def test_what_it_says_at_80_columns(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Explain", answer("split", rule="trial"))
    outcome = rollout("explain", "cart", "u-9", "plan=pro", "--unit", "tenant=t-1")
    assert outcome.err == "production · revision 9\n"
    assert outcome.out == (
        "cart serves `on` (true) to u-9, tenant t-1: rule trial matched first, and its\n"
        "split puts the unit there\n"
        "\n"
        "STEP                                     RESULT         DETAIL\n"
        "killed                                   ✘ false\n"
        "rule staff                               ? unknown\n"
        "└── attribute email ends_with            ? unknown      email is missing\n"
        '    "@example.com"\n'
        "rule trial                               ✔ true         bucket 220582 of user\n"
        '                                                        "u-9" is in 0..249999\n'
        "└── all                                  ✔ true\n"
        "    ├── cohort beta                      ✔ true\n"
        '    │   └── attribute plan equals "pro"  ✔ true         plan is "pro"\n'
        "    └── not                              ✔ true\n"
        "default                                  · not reached\n"
    )
    (request,) = control.requests("Explain")
    assert json.loads(request.context_json) == {
        "units": {"user": "u-9", "tenant": "t-1"},
        "attributes": {"plan": "pro"},
    }


@pytest.mark.parametrize(
    ("reason", "variant", "sentence"),
    [
        ("killed", "off", "cart serves `off` (true) to no unit: it is killed"),
        ("rule", "on", "rule staff matched first"),
        ("target", "on", "the unit is a target by name"),
        ("unknown_flag", None, "serves the caller's default to no unit: there is no such flag"),
        ("later_reason", "on", "later reason"),
    ],
)
def test_every_reason_is_a_sentence(
    rollout: CommandLine, control: ScriptedControl, reason: str, variant: str | None, sentence: str
) -> None:
    control.on("Explain", answer(reason, variant, "staff"))
    assert sentence in rollout("explain", "cart").out.splitlines()[0]


def test_a_missing_unit_and_a_number_sent_as_text_are_pointed_out(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("Explain", answer("no_unit"))
    err = rollout("explain", "cart", "age=42").err
    assert "--unit KIND=KEY" in err
    assert "age=42 was sent as text; age:=42 sends it as JSON" in err


def test_points_of_history(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Explain", answer("default"))
    rollout("explain", "cart", "--rev", "4")
    rollout("explain", "cart", "--at", "2h")
    revision, moment = (request.at for request in control.requests("Explain"))
    assert revision.revision == 4
    assert moment.time_ms == NOW_MS - 7_200_000


def test_a_flag_that_came_later_is_told_from_one_that_never_was(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Explain", Refusal(grpc.StatusCode.NOT_FOUND, "there is no flag", pb.ErrorDetail(code="not_found")))
    control.on("GetResource", pb.GetResourceResponse())
    outcome = rollout("explain", "cart", "--rev", "1")
    assert outcome.code == 1
    assert "error: there was no flag 'cart' in production at that point; there is one now\n" in outcome.err
    assert "rollout history flag/cart" in outcome.err


def test_context_is_json_here_and_a_saved_context_too(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Explain", answer("default"))
    assert rollout("explain", "cart", "--context", '{"units": {"device": "d-1"}}').code == 0
    assert json.loads(control.requests("Explain")[0].context_json)["units"] == {"device": "d-1"}
    named = rollout("explain", "cart", "--context", "staging")
    assert named.code == 2
    assert "there is no context staging" in named.err


def test_a_wrong_flag_is_suggested(rollout: CommandLine, control: ScriptedControl) -> None:
    hint = pb.ErrorDetail(code="not_found", hint="did you mean cart?")
    control.on("Explain", Refusal(grpc.StatusCode.NOT_FOUND, "there is no flag 'catr' here", hint))
    outcome = rollout("explain", "catr")
    assert outcome.code == 1
    assert "next: did you mean cart?" in outcome.err


def test_json_keeps_the_decision_as_it_is(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("Explain", answer("default"))
    data = rollout("explain", "cart", "-o", "json").data
    assert list(data) == ["environment", "position", "context", "decision", "steps"]
    assert data["decision"]["reason"] == "default"
    assert data["steps"][-1] == {"depth": 0, "label": "default", "result": "", "detail": ""}


def test_branches() -> None:
    assert _tree([0, 1, 2, 1, 0, 1]) == ["", "├── ", "│   └── ", "└── ", "", "└── "]
    assert _tree([]) == []
    assert _tree([0, 3]) == ["", "        └── "]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"arm": "candidate"}, "run 2 of rollout launch exposes it (stage quarter, 25 %)"),
        ({"arm": "control"}, "run 2 of rollout launch does not expose it: it is control (stage quarter, 25 %)"),
        ({"arm": None, "stage": None, "reach_ppm": 0}, "run 2 of rollout launch does not reach it"),
        ({"arm": None, "reason": "no_unit"}, "run 2 of rollout launch needs a unit that this context does not have"),
        ({"run": 0, "arm": None}, "rollout launch was never started"),
        ({"rollout": None, "rule": "r"}, "rule r leaves it to a rollout, and none is under way"),
    ],
)
def test_what_a_rollout_does_with_a_unit(
    rollout: CommandLine, control: ScriptedControl, more: dict[str, object], sentence: str
) -> None:
    """Stage, arm and share, in the first line."""
    rollout.width = 200
    of_rollout = {"rollout": "launch", "run": 2, "stage": "quarter", "reach_ppm": 250_000, "reason": "rollout"}
    decision = {"flag": "cart", "variant": "on", "value": True, **of_rollout, **more}
    control.on("Explain", pb.ExplainResponse(decision_json=json.dumps(decision), steps=STEPS))
    assert rollout("explain", "cart", "u-9").out.splitlines()[0] == f"cart serves `on` (true) to u-9: {sentence}"
