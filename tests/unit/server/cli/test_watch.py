"""`rollout watch`: the picture, and a line for each change where nobody looks."""

from __future__ import annotations

import grpc

from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl
from tests.rollout_scenes import got, launch


def test_once_draws_the_tree(rollout: CommandLine, control: ScriptedControl) -> None:
    """Head, stages, guardrails with interval and limit, processes."""
    rollout.width = 130
    control.on("GetRollout", *got(launch("held")))
    out = rollout("watch", "checkout", "--once").out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "Rollout:  launch  (production)" in out
    assert "Stage:    2/4 quarter   25 % of everyone   27m left at least" in out
    assert "SDKs:     214/216 in force, 2 behind" in out
    assert "├── staff Stage ✔ passed 100 % of cohort staff" in rows
    assert any(row.startswith("│ ├── shop.failed Guardrail ✔ healthy +0.31 %") for row in rows)
    assert "+0.31 % [-1.46, +2.09]  limit +2.00 %" in out
    assert "└── finish Stage · waiting 100 %" in rows
    assert "95 %, needs healthy guardrails, 1 of managers" in out
    assert "━━━━" in out


def test_where_nobody_looks_each_change_is_a_line(rollout: CommandLine, control: ScriptedControl) -> None:
    """The same sentence is said once; it ends with the rollout."""
    over = launch("completed", sentence="launch run 3 is completed")
    control.on("GetRollout", *got(launch(), launch(), over))
    outcome = rollout("watch", "checkout")
    assert [line.partition("Z  ")[2] for line in outcome.out.splitlines()] == [
        "launch run 3 at quarter (25 %) has soaked 33m of 1h",
        "launch run 3 is completed",
    ]


def test_a_server_that_restarts_is_waited_for(rollout: CommandLine, control: ScriptedControl) -> None:
    """And said; the picture is of the last answer until then."""
    over = launch("rolled back", sentence="it is over")
    control.on("GetRollout", *got(launch()), Refusal(grpc.StatusCode.UNAVAILABLE, "restarting"), *got(over))
    outcome = rollout("watch", "checkout")
    assert outcome.code == 0
    assert "asking again" in outcome.err
    assert "it is over" in outcome.out


def test_before_the_first_run_there_is_nothing_to_follow(rollout: CommandLine, control: ScriptedControl) -> None:
    """It says so and ends."""
    never = launch("", run=0, sentence="launch was never started", stages=[], guardrails=[])
    control.on("GetRollout", *got(never))
    assert "launch was never started" in rollout("watch", "checkout").out
    assert rollout("watch", "checkout", "--every", "often").code == 2


def test_data_is_one_answer(rollout: CommandLine, control: ScriptedControl) -> None:
    """For programs, which ask again themselves."""
    control.on("GetRollout", *got(launch()))
    data = rollout("watch", "checkout", "-o", "json").data
    assert data["rollout"]["guardrails"][0]["low"] == -0.0146
    assert data["rollout"]["guardrails"][0]["harm"] is None
