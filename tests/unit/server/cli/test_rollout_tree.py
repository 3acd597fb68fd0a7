"""How each part of a rollout looks."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.rollout_tree import percent
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.rollout_scenes import got, guardrail, launch, stages


def drawn(rollout: CommandLine, control: ScriptedControl, **fields: Any) -> str:
    rollout.width = 140
    control.on("GetRollout", *got(launch(**fields)))
    return rollout("watch", "checkout", "--once").out


@pytest.mark.parametrize(
    ("share", "text"), [(250_000, "25 %"), (1_000_000, "100 %"), (12_500, "1.25 %"), (1, "0.0001 %")]
)
def test_shares_are_written_exactly(share: int, text: str) -> None:
    """As people write them in files."""
    assert percent(share) == text


@pytest.mark.parametrize("standing", ["blind", "skewed", "unjudged"])
def test_what_has_no_figures_says_why(rollout: CommandLine, control: ScriptedControl, standing: str) -> None:
    """The reason of the generated sentence, instead of an interval of nothing."""
    out = drawn(rollout, control, guardrails=[guardrail(standing=standing, sentence=f"it is {standing}: no report")])
    assert "no report" in out
    assert f"it is {standing}" not in out
    assert "limit" not in out


def test_an_absolute_limit_is_in_the_metric_s_unit(rollout: CommandLine, control: ScriptedControl) -> None:
    """Seconds where they are seconds, shares where there is no unit."""
    slow = guardrail(is_relative=False, unit="seconds", estimate=1.25, low=1.1, high=1.5, limit=2, action="hold")
    share = guardrail("failed", is_relative=False, estimate=0.0125, low=0.01, limit=0.02)
    share.ClearField("high")
    out = drawn(rollout, control, guardrails=[slow, share])
    assert "1.25 seconds [1.1 seconds, 1.5 seconds]  limit 2 seconds (hold)" in out
    assert "1.25 % [1.00, ?]  limit 2.00 %" in out


def test_what_needs_a_person_says_which_command(rollout: CommandLine, control: ScriptedControl) -> None:
    """Approval or a look, unless somebody took it."""
    need = pb.Need(kind="awaiting approval", sentence="it waits")
    assert "next: rollout approve launch" in drawn(rollout, control, phase="awaiting approval", need=need)
    assert "rollout ack launch" in drawn(rollout, control, phase="held", need=need)
    need.acknowledged_by = "mia"
    assert "next:" not in drawn(rollout, control, phase="held", need=need)


def test_a_freeze_a_kill_and_an_end_are_seen(rollout: CommandLine, control: ScriptedControl) -> None:
    """Each in its place."""
    assert "Frozen:   until 2026-11-18 12:06:40Z" in drawn(rollout, control, frozen=True, thaw_at_ms=1_795_003_600_000)
    assert "until somebody thaws it" in drawn(rollout, control, frozen=True)
    assert "✘ killed" in drawn(rollout, control, killed=True)
    end = pb.End(trigger="verdict", who="engine", at_ms=1_794_999_940_000)
    assert "rolled back 1m ago by engine" in drawn(rollout, control, phase="rolled back", end=end)
    assert "✔ finished" in drawn(rollout, control, phase="completed", finished=True)


def test_a_stage_that_was_jumped_over_is_marked(rollout: CommandLine, control: ScriptedControl) -> None:
    """And what a stage waits for is named."""
    listed = stages()
    listed[0].state = pb.STAGE_STATE_SKIPPED
    listed[1].waits_for[:] = ["exposed", "healthy"]
    out = drawn(rollout, control, stages=listed)
    assert "↷ skipped" in out
    assert "waits for enough exposed units and healthy guardrails" in " ".join(out.split())


def test_who_is_out_of_reach_counts(rollout: CommandLine, control: ScriptedControl) -> None:
    """A process that is gone is part of the whole."""
    out = drawn(rollout, control, instances_connected=3, instances_behind=0, instances_unreachable=["shop@a"])
    assert "SDKs:     3/4 in force, 1 unreachable" in out
    assert "none connected" in drawn(rollout, control, instances_connected=0, instances_behind=0)


def test_a_narrow_terminal_keeps_names_standings_and_figures(rollout: CommandLine, control: ScriptedControl) -> None:
    """Without kinds and ages, and no line of the tree is longer than the terminal."""
    rollout.width = 80
    control.on("GetRollout", *got(launch()))
    out = rollout("watch", "checkout", "--once").out
    assert "Guardrail" not in out
    assert "+0.31 % [-1.46, +2.09]  limit +2.00 %" in out
    assert max(map(len, out.splitlines())) <= 80
