"""`rollout apply`: what was seen is what happens, or nothing."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine, Outcome
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.doubles.plans import CHANGE, FLAG_YAML, plan

APPLIED = pb.ApplyResponse(entry=pb.Entry(revision=8, action="apply", changes=[CHANGE]), changes=[CHANGE])


@pytest.fixture
def flags(tmp_path: Path) -> str:
    path = tmp_path / "flags.yaml"
    path.write_text(FLAG_YAML, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def server(control: ScriptedControl) -> None:
    control.on("Plan", plan()).on("Apply", APPLIED)


def saved(rollout: CommandLine, flags: str, *words: str) -> str:
    path = str(Path(flags).with_name("plan.json"))
    assert rollout("plan", flags, "--save", path, *words).code == 0
    return path


def refused(outcome: Outcome, control: ScriptedControl, code: int) -> bool:
    return outcome.code == code and not control.requests("Apply")


def test_it_shows_the_plan_then_applies_exactly_it(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    """The hash of the plan that was shown travels with the call: nothing else is applied than what was seen."""
    outcome = rollout("apply", "-f", flags, "--reason", "more")
    assert outcome.code == 0
    assert outcome.out.startswith("CHANGES\n~ flag/cart  update")
    assert outcome.out.endswith("\n✔ applied as revision 8: 1 updated\nundo: rollout revert 8\n")
    (request,) = control.requests("Apply")
    assert request.plan_hash == "3f9c0de1a2b3c4d5"
    assert request.intent.reason == "more"
    assert len(request.intent.idempotency_key) == 32
    assert [document.key for document in request.documents] == ["cart"]


def test_on_a_terminal_it_asks_and_no_changes_nothing(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    rollout.interactive, rollout.answers = True, "n\n"
    outcome = rollout("apply", "-f", flags)
    assert refused(outcome, control, 1)
    assert "apply this to production?" in outcome.err
    assert "nothing was changed" in outcome.err


def test_on_a_terminal_yes_then_the_reason(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    rollout.interactive, rollout.answers = True, "y\nrelease 4\n"
    assert rollout("apply", "-f", flags).code == 0
    assert control.requests("Apply")[0].intent.reason == "release 4"


def test_yes_asks_nothing(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    rollout.interactive = True
    assert rollout("apply", "-f", flags, "--yes").code == 0
    assert control.requests("Apply")[0].intent.reason == ""


def test_a_dry_run_and_no_change_do_not_apply(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    assert refused(rollout("apply", "-f", flags, "--dry-run"), control, 0)
    control.on("Plan", plan(changes=[]))
    outcome = rollout("apply", "-f", flags)
    assert refused(outcome, control, 0)
    assert "nothing changes" in outcome.out


def test_what_moved_in_between_is_a_conflict(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    detail = pb.ErrorDetail(code="conflict", hint="plan again")
    control.on("Apply", Refusal(grpc.StatusCode.ABORTED, "flag/cart moved: expected 3, found 4", detail))
    outcome = rollout("apply", "-f", flags)
    assert outcome.code == 7
    assert "flag/cart moved: expected 3, found 4; what you saw is no longer what would happen" in outcome.err


def test_the_fate_of_a_lost_call_is_unknown_and_can_be_repeated_once(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Apply", Refusal(grpc.StatusCode.UNAVAILABLE, "reset"))
    outcome = rollout("apply", "-f", flags)
    assert outcome.code == 9
    assert f"--idempotency-key {1:032x}" in outcome.err
    assert len(control.requests("Apply")) == 2
    rollout("apply", "-f", flags, "--idempotency-key", "abc")
    assert control.requests("Apply")[-1].intent.idempotency_key == "abc"


def test_what_a_connected_sdk_cannot_evaluate_needs_a_yes_of_its_own(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    control.on("Plan", plan(unsupported=["shop on web-1 cannot op:regex"]))
    outcome = rollout("apply", "-f", flags, "--yes")
    assert refused(outcome, control, 1)
    assert "--allow-unsupported" in outcome.err
    assert rollout("apply", "-f", flags, "--yes", "--allow-unsupported").code == 0
    assert control.requests("Apply")[0].allow_unsupported
    rollout.interactive, rollout.answers = True, "y\ny\n\n"
    assert rollout("apply", "-f", flags).code == 0
    assert control.requests("Apply")[1].allow_unsupported


def test_a_saved_plan_is_applied_as_it_was_reviewed(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    path = saved(rollout, flags, "--prune")
    Path(flags).unlink()
    outcome = rollout("apply", path)
    assert outcome.code == 0
    (request,) = control.requests("Apply")
    assert request.plan_hash == "3f9c0de1a2b3c4d5"
    assert request.prune
    assert request.documents[0].kind == "Flag"
    assert (
        "WHO MOVES, as counted when it was planned\n  flag/cart: 250 of 1,000 synthetic contexts move\n" in outcome.out
    )


def test_a_saved_plan_whose_ground_has_moved_is_refused_naming_what(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    path = saved(rollout, flags)
    control.on("Plan", plan(hash="other", reads={"flag/cart": 3, "flag/checkout": 9}))
    outcome = rollout("apply", path)
    assert refused(outcome, control, 7)
    assert "flag/checkout: version 2 when planned, 9 now" in outcome.err


def test_a_saved_plan_goes_to_its_own_environment_only(
    rollout: CommandLine, control: ScriptedControl, flags: str
) -> None:
    path = saved(rollout, flags)
    outcome = rollout("apply", path, "-e", "staging")
    assert refused(outcome, control, 2)
    assert "is for environment production" in outcome.err
    assert refused(rollout("apply", path, "-f", flags), control, 2)


def test_a_saved_plan_against_the_past_is_refused(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    assert refused(rollout("apply", saved(rollout, flags, "--rev", "2")), control, 2)


def test_several_environments_and_none_chosen_change_nothing(
    rollout: CommandLine, control: ScriptedControl, flags: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[contexts.a]\nserver = "{rollout.server}"\nenvironment = "staging"\n'
        f'[contexts.b]\nserver = "{rollout.server}"\nenvironment = "production"\n',
        encoding="utf-8",
    )
    config.chmod(0o600)
    rollout.server, rollout.environment = "", ""
    rollout.variables["ROLLOUT_CONFIG"] = str(config)
    outcome = rollout("apply", "-f", flags, "--yes")
    assert refused(outcome, control, 2)
    assert "none is chosen: staging, production" in outcome.err
    assert rollout("apply", "-f", flags, "--yes", "-e", "staging").code == 0


def test_json_is_the_entry_and_the_plan(rollout: CommandLine, flags: str) -> None:
    outcome = rollout("apply", "-f", flags, "-o", "json")
    assert outcome.data["entry"]["revision"] == 8
    assert outcome.data["entry"]["undo"] == "rollout revert 8"
    assert outcome.data["plan"]["hash"] == "3f9c0de1a2b3c4d5"
    assert "✔ applied as revision 8" in outcome.err


def test_a_repeat_that_changes_nothing_says_so(rollout: CommandLine, control: ScriptedControl, flags: str) -> None:
    control.on("Apply", pb.ApplyResponse())
    assert "nothing changed: the environment holds this already" in rollout("apply", "-f", flags).out
