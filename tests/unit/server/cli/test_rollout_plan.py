"""`rollout plan --rollout`: stages with their times and units, who never gets it, and what to beware of."""

from __future__ import annotations

from pathlib import Path

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl

HOUR_MS = 3_600_000
STAGES = [
    pb.PlannedStage(
        name="staff", audience="cohort staff", share_ppm=1_000_000, entered=True, entering=3, exposed=3, control=0
    ),
    pb.PlannedStage(
        name="half",
        audience="everyone",
        share_ppm=500_000,
        enters_ms=NOW_MS + HOUR_MS,
        steps=[pb.PlannedStep(at_ms=NOW_MS + at * HOUR_MS, share_ppm=at * 250_000) for at in (1, 2)],
        waited_for=["thaw"],
        needs=["3 exposed units", "an approval by 1 of managers"],
        entering=480,
        exposed=483,
        control=517,
        candidates=["u-1", "u-4", "u-5", "u-9"],
        controls=["u-2"],
        paces=[
            pb.GuardrailPace(metric="errors", healthy_ms=HOUR_MS, caught_ms=60_000, regression=0.4, relative=True),
            pb.GuardrailPace(metric="latency", unknown="there is no control here", regression=0.2),
        ],
    ),
    pb.PlannedStage(name="finish", audience="everyone", share_ppm=1_000_000),
]
PLAN = pb.PlanRolloutResponse(
    rollout="launch",
    flag="checkout",
    from_variant="off",
    to_variant="on",
    unit="user",
    run=2,
    phase="running",
    now_ms=NOW_MS,
    stages=STAGES,
    contexts=1_000,
    units=1_000,
    exempt=[
        pb.ExemptUnits(
            code="rule", why="another rule answers first", rule="beta", variant="on", count=4, examples=["u-7"]
        )
    ],
    warnings=["it does not complete within 10 years: look for a freeze that never thaws"],
    position=Position(epoch="e", revision=7),
)


def test_what_it_says(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    """One table of stages, and below it what each needs, who enters, how long verdicts take, who never, warnings."""
    control.on("PlanRollout", PLAN)
    population = tmp_path / "users.jsonl"
    population.write_text('{"units": {"user": "u-1"}}\n' * 700, encoding="utf-8")
    rollout.width = 100
    outcome = rollout("plan", "--rollout", "checkout", "--population", str(population))
    assert outcome.code == 0
    assert outcome.err == "production · plan of rollout launch run 2 against revision 7 · checkout: off -> on\n"
    assert outcome.out == (
        "STAGES, at the earliest if all goes well from 2026-11-18 11:06:40Z\n"
        "STAGE   ENTERS                AFTER  SHARE  OF            NEW  EXPOSED  CONTROL\n"
        "staff   entered                      100 %  cohort staff    3        3        0\n"
        "half    2026-11-18 12:06:40Z     1h   50 %  everyone      480      483      517\n"
        "finish  never                        100 %  everyone\n"
        "completes never within ten years\n"
        "\n"
        "ON THE WAY\n"
        "  half  ramps in 2 steps until 2026-11-18 13:06:40Z\n"
        "  half  waits for the thaw\n"
        "  half  needs 3 exposed units, an approval by 1 of managers\n"
        "\n"
        "WHO ENTERS, of 1,000 users in 1,000 contexts\n"
        "  staff  candidate   and 3 more\n"
        "  half  candidate  u-1, u-4, u-5 and 477 more\n"
        "  half  control  u-2 and 516 more\n"
        "\n"
        "VERDICTS, estimated at recent traffic\n"
        "  half  errors   healthy after 1h, +40% caught after 1m\n"
        "  half  latency  there is no control here\n"
        "\n"
        "WHO NEVER GETS IT FROM THIS ROLLOUT, of 1,000 contexts\n"
        "  4  get on: another rule answers first (beta)  u-7 and 3 more\n"
        "\n"
        "WARNINGS\n"
        "  ▲ it does not complete within 10 years: look for a freeze that never thaws\n"
    )
    first, *batches = control.requests("PlanRollout")[0]
    assert (first.question.rollout, first.question.synthetic_count, first.question.listed_max) == ("checkout", 0, 100)
    assert [len(one.population.contexts_json) for one in batches] == [500, 200]


def test_shares_of_a_synthetic_population_come_with_an_interval(rollout: CommandLine, control: ScriptedControl) -> None:
    """What was made up stands for shares, not for people: no keys are listed."""
    control.on(
        "PlanRollout", pb.PlanRolloutResponse(stages=STAGES, units=1_000, contexts=1_000, population_is_synthetic=True)
    )
    out = rollout("plan", "--rollout", "launch", "-o", "wide").out
    assert "45-51 %" in out
    assert "0.1-0.9 %" in out
    assert "WHO ENTERS" not in out
    assert control.requests("PlanRollout")[0][0].question.synthetic_count == 1_000


def test_the_plan_for_a_program(rollout: CommandLine, control: ScriptedControl) -> None:
    """Everything, with what is not known as null."""
    control.on("PlanRollout", PLAN)
    found = rollout("plan", "--rollout", "launch", "-o", "json").data
    assert (found["rollout"], found["run"], found["completes"], found["units"]) == ("launch", 2, None, 1_000)
    half, finish = found["stages"][1:]
    assert half["enters"] == "2026-11-18 12:06:40Z"
    assert half["paces"][1] == {
        "metric": "latency",
        "healthy_ms": None,
        "caught_ms": None,
        "regression": 0.2,
        "relative": False,
        "unknown": "there is no control here",
    }
    assert (finish["enters"], finish["exposed"]) == (None, None)
    assert found["exempt"][0]["code"] == "rule"


def test_a_bad_line_is_named(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    """By file and line, before anything is shown; so is what the server finds in it."""
    control.on("PlanRollout", PLAN)
    population = tmp_path / "users.jsonl"
    population.write_text('{"units": {"user": "u-1"}}\n\n{\n', encoding="utf-8")
    outcome = rollout("plan", "--rollout", "launch", "--population", str(population))
    assert outcome.code == 1
    assert "users.jsonl:3: the line is no JSON" in outcome.err
    population.write_text('{"units": {"user": "u-1"}}\n\n{"units": {}}\n', encoding="utf-8")
    problem = pb.Problem(path="population[2]", code="bad_context", message="no", hint="mend it")
    detail = pb.ErrorDetail(code="invalid_input", problems=[problem])
    control.on("PlanRollout", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "1 problem", detail))
    outcome = rollout("plan", "--rollout", "launch", "--population", str(population))
    assert outcome.code == 1
    assert "users.jsonl:3" in outcome.err


def test_files_and_a_rollout_are_two_questions(rollout: CommandLine, control: ScriptedControl) -> None:
    """The plan of a rollout is of what stands."""
    outcome = rollout("plan", "--rollout", "launch", "-f", "flags.yaml")
    assert outcome.code == 2
    assert "apply the files first" in outcome.err
    assert control.calls == []
