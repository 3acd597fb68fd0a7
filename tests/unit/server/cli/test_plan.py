"""`rollout plan`: what changes, who moves, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.doubles.plans import FLAG_YAML, plan


@pytest.fixture
def flags(tmp_path: Path) -> str:
    path = tmp_path / "flags.yaml"
    path.write_text(FLAG_YAML, encoding="utf-8")
    return str(path)


def test_what_it_says_at_80_columns(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan())
    outcome = rollout("plan", "-f", flags)
    assert outcome.code == 0
    assert outcome.err == (
        "production · plan against revision 7 · hash 3f9c0de1a2b3\n"
        f"nothing was changed; apply it: rollout apply -f {flags}\n"
    )
    assert outcome.out == (
        "CHANGES\n"
        "~ flag/cart  update  version 3\n"
        '    spec.default  "off" -> "on"\n'
        '    metadata.owner  + "shop"\n'
        '    metadata.description  - "old"\n'
        "\n"
        "DEPENDENTS\n"
        "  flag/checkout: requires flag/cart\n"
        "\n"
        "WHO MOVES, of 1,000 synthetic contexts\n"
        "  flag/cart  250 move (25 %)  never holds 3\n"
        "      off -> on  250\n"
        "        user u-1: no unit -> default\n"
        "        user u-2: no unit -> default\n"
        "        user u-3: no unit -> default\n"
        "  shown: 3 units of each; all of them: rollout plan -o wide --moves-limit 250\n"
        "\n"
        "▲ grows, or cannot be proven to shrink:\n"
        "    flag/cart: everybody gets `on` by default\n"
    )


def test_the_question_carries_what_was_asked(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan())
    rollout("plan", flags, "--prune", "--synthetic", "5", "--moves-limit", "7", "--rev", "4")
    (request,) = control.requests("Plan")[0]
    question = request.question
    assert (question.prune, question.synthetic_count, question.moves_limit) == (True, 5, 7)
    assert question.at.revision == 4
    assert json.loads(question.documents[0].json)["spec"] == {"default": "on"}


def test_a_population_is_streamed(rollout: CommandLine, control: ScriptedControl, flags: str, tmp_path: Path) -> None:
    control.on("Plan", plan(population_is_synthetic=False))
    users = tmp_path / "users.jsonl"
    users.write_text('{"units": {"user": "u-1"}}\n\n{"units": {"user": "u-2"}}\n', encoding="utf-8")
    assert "of 1,000 contexts" in rollout("plan", flags, "--population", str(users)).out
    question, batch = control.requests("Plan")[0]
    assert question.question.synthetic_count == 0
    assert list(batch.population.contexts_json) == ['{"units": {"user": "u-1"}}', '{"units": {"user": "u-2"}}']


def test_a_population_comes_from_standard_input_too(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan())
    assert rollout("plan", flags, "--population", "-", stdin=b'{"units": {"user": "u-9"}}\n').code == 0
    assert "u-9" in control.requests("Plan")[0][1].population.contexts_json[0]


def test_a_bad_line_of_the_population_is_named(
    rollout: CommandLine, control: ScriptedControl, flags: str, tmp_path: Path
) -> None:
    control.on("Plan", plan())
    users = tmp_path / "users.jsonl"
    users.write_text('{"units": {"user": "u-1"}}\noops\n', encoding="utf-8")
    outcome = rollout("plan", flags, "--population", str(users))
    assert outcome.code == 1
    assert f"{users}:2: the line is no JSON" in outcome.err
    assert outcome.out == ""


def test_a_problem_found_by_the_server_is_placed_in_the_file(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    problem = pb.Problem(
        origin=f"{flags}:1:1", resource="flag/cart", path="spec.default", message="no such variant", hint="use on"
    )
    detail = pb.ErrorDetail(code="invalid_input", hint="mend it", problems=[problem])
    control.on("Plan", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "1 problem", detail))
    outcome = rollout("plan", flags)
    assert outcome.code == 1
    assert f"{flags}:3:8: flag/cart: spec.default: no such variant (use on)" in outcome.err


def test_a_context_the_server_refuses_is_named_by_its_line(
    rollout: CommandLine, control: ScriptedControl, flags: str, tmp_path: Path
) -> None:
    problem = pb.Problem(path="population[2]", message="too deep", hint="flatten it")
    detail = pb.ErrorDetail(code="invalid_input", problems=[problem])
    control.on("Plan", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "1 problem", detail))
    users = tmp_path / "users.jsonl"
    users.write_text('{"units": {"user": "u-1"}}\n\n{"units": {"user": "u-2"}}\n', encoding="utf-8")
    assert f"{users}:3: too deep (flatten it)" in rollout("plan", flags, "--population", str(users)).err


def test_exit_code_3_only_when_something_changes(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan(), plan(changes=[]))
    assert rollout("plan", flags, "--exit-code").code == 3
    unchanged = rollout("plan", flags, "--exit-code")
    assert unchanged.code == 0
    assert "nothing changes: the environment holds this already" in unchanged.out


def test_a_plan_that_shrinks_says_so_and_warnings_stand_out(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Plan", plan(shrinks=True, moves=[], unsupported=["shop on web-1: op:regex"], warnings=["beware"]))
    out = rollout("plan", flags).out
    assert "✔ shrinks: proven" in out
    assert "nobody changes variant" in out
    assert "SDKS THAT CANNOT EVALUATE THIS\n  ! shop on web-1: op:regex\n" in out
    assert "WARNINGS\n  ! beware\n" in out


def test_without_a_population_nobody_is_counted_and_it_says_so(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Plan", plan(population=0, moves=[]))
    assert "not counted: there is no population" in rollout("plan", flags, "--synthetic", "0").out


def test_json_is_the_whole_plan(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan())
    data = rollout("plan", flags, "-o", "json").data
    assert list(data) == [
        "environment", "hash", "position", "changes", "dependents", "reads", "shrinks", "growth", "population",
        "population_is_synthetic", "moves", "units", "unsupported", "warnings", "approvals",
    ]  # fmt: skip
    assert data["moves"] == [
        {"flag": "cart", "moved": 250, "never": 3, "by_variant": [{"before": "off", "after": "on", "count": 250}]}
    ]
    assert len(data["units"]) == 5
    assert [change["resource"] for change in data["changes"]] == ["flag/cart"]


def test_a_plan_against_the_past_cannot_be_applied(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Plan", plan())
    assert "a plan against the past cannot be applied" in rollout("plan", flags, "--at", "2h").err


@pytest.mark.parametrize(
    "words",
    [("plan",), ("plan", "/nonexistent"), ("plan", "F", "--at", "2h", "--rev", "1"), ("plan", "F", "--at", "x")],
)
def test_usage(rollout: CommandLine, control: ScriptedControl, flags: str, words: tuple[str, ...]) -> None:
    assert rollout(*(flags if word == "F" else word for word in words)).code == 2
    assert control.calls == []
