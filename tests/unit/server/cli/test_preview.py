"""Asking for a plan, and drawing it; `plan`, `apply` and `diff` show the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.preview import Preview, draw
from rollout_server.cli.screen import Format, Screen
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.doubles.plans import FLAG_YAML, MOVES, SUMMARY


def test_wide_lists_every_unit(capsys: pytest.CaptureFixture[str]) -> None:
    draw(Screen(Format.WIDE, {"COLUMNS": "120"}), Preview(SUMMARY, tuple(MOVES)))
    out = capsys.readouterr().out
    assert out.count("no unit -> default") == len(MOVES)
    assert "not every unit; all of them: rollout plan -o wide --moves-limit 250" in out
    summary = pb.PlanSummary()
    summary.CopyFrom(SUMMARY)
    for item in summary.moves:
        item.moved = min(item.moved, len(MOVES))
    draw(Screen(Format.WIDE, {"COLUMNS": "120"}), Preview(summary, tuple(MOVES)))
    assert "all of them" not in capsys.readouterr().out


def test_long_lists_are_cut_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    summary = pb.PlanSummary()
    summary.CopyFrom(SUMMARY)
    summary.dependents.extend(pb.Dependent(id=f"flag/{n}", because="requires flag/cart") for n in range(50))
    summary.growth.extend(f"flag/{n}: grows" for n in range(50))
    draw(Screen(Format.TABLE, {"COLUMNS": "120"}), Preview(summary, ()))
    out = capsys.readouterr().out
    assert out.count("and 31 more: -o wide") == 2
    draw(Screen(Format.WIDE, {"COLUMNS": "120"}), Preview(summary, ()))
    assert "more: -o wide" not in capsys.readouterr().out


def test_a_unit_that_is_none_and_a_flag_that_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    summary = pb.PlanSummary(changes=SUMMARY.changes[:1], population=4)
    by_variant = [pb.VariantMove(variant_after="on", count=1)]
    summary.moves.extend([pb.FlagMoves(flag="cart", moved=1, by_variant=by_variant), pb.FlagMoves(flag="still")])
    move = pb.Move(
        flag="cart", variant_after="on", reason_before="unknown_flag", reason_after="split", rule_after="trial"
    )
    draw(Screen(Format.TABLE, {"COLUMNS": "80"}), Preview(summary, (move,)))
    out = capsys.readouterr().out
    assert "WHO MOVES, of 4 contexts" in out
    assert "caller's default -> on  1" in out
    assert "no unit: unknown flag -> split trial" in out
    assert "still" not in out


def test_an_answer_without_a_summary_is_the_servers_bug(
    rollout: CommandLine, control: ScriptedControl, tmp_path: Path
) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FLAG_YAML, encoding="utf-8")
    control.on("Plan", [pb.PlanResponse(moves=pb.MoveBatch(moves=MOVES))])
    outcome = rollout("plan", str(path))
    assert outcome.code == 1
    assert "without a summary" in outcome.err
