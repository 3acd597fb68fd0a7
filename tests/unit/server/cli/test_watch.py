"""`rollout watch`: the picture, and a line for each change where nobody looks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

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
    """That time passes is none; it ends with the rollout."""
    later = launch(sentence="launch run 3 at quarter (25 %) has soaked 34m of 1h")
    over = launch("completed", sentence="launch run 3 is completed")
    control.on("GetRollout", *got(launch(), later, over))
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


def test_on_a_terminal_the_picture_is_written_over(rollout: CommandLine, control: ScriptedControl) -> None:
    """Cleared once, then over itself line by line, in colours, and never longer than the terminal."""
    over = launch("completed", sentence="launch run 3 is completed")
    control.on("GetRollout", *got(launch(), launch(), over))
    ours, theirs = pty.openpty()
    environ = {**os.environ, "LINES": "12", "COLUMNS": "100", "TERM": "xterm"}
    server = ("--server", rollout.server, "--token", "rg_test", "--environment", "production")
    command = [sys.executable, "-m", "rollout_server", *server, "watch", "checkout", "--every", "100ms"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        said = b""
        try:
            while some := os.read(ours, 65_536):
                said += some
        except OSError:
            pass  # how Linux says that nobody holds the other end any more
        os.close(ours)
    assert process.returncode == 0
    before, *frames = said.decode().split("\x1b[H")
    assert before == "\x1b[2J"
    assert len(frames) == 3
    assert all(frame.count("\r\n") == 11 for frame in frames)
    assert all("\x1b[K" in line for frame in frames for line in frame.split("\r\n")[:-1])
    assert "\x1b[32m✔ passed" in frames[0]
    assert "launch run 3 is completed" in frames[-1]


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
