"""What each stage saw, read off the server's history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli import demo_table
from rollout_server.cli.screen import Mark
from rollout_server.cli.session import Session
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl, serving

STAGES = {"stages": [{"name": "canary"}, {"name": "half"}]}


def status(place: int, share_ppm: int, phase: str = "running", who: str = "", **verdict: Any) -> str:
    run = {"phase": phase, "pipeline": STAGES, "entered": [{"place": place, "share_ppm": share_ppm}]}
    whole = {"estimate": 1.69, "low": 0.6, "high": None, "candidate_units": 1_510, "control_units": 2_030, **verdict}
    verdicts = [["shop.failed", whole], ["shop.latency", {"standing": "unjudged"}]]
    return json.dumps({"run": {**run, "end": {"who": who}}, "verdicts": verdicts})


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
def session(control: ScriptedControl) -> Iterator[Session]:
    with serving(control) as server:
        session = Session(CommandLine().world({}))
        session.remember(server=server, token="rg_test", environment="production")
        yield session
        session.close()


def rows(session: Session, control: ScriptedControl, *history: str) -> list[list[str]]:
    """The rows of a rollout whose entries, a second apart, left these statuses; the history comes newest first."""
    entries = [pb.Entry(revision=at, at_ms=at * 1_000) for at in range(1, len(history) + 1)]
    control.on("ListHistory", pb.ListHistoryResponse(entries=entries[::-1]))
    control.on("GetResource", *(pb.GetResourceResponse(resource=pb.Resource(status_json=one)) for one in history))
    found = [
        [cell.text if isinstance(cell, Mark) else str(cell) for cell in row] for row in demo_table.rows(session, "x")
    ]
    assert [call.at.revision for call in control.requests("GetResource")] == [*range(1, len(history) + 1)]
    return found


def test_a_stage_is_a_row_with_what_was_known_when_it_ended(session: Session, control: ScriptedControl) -> None:
    """A ramp within a stage is no row of its own; an unknown bound is a question mark."""
    found = rows(
        session, control, "{}", status(0, 200_000), status(1, 215_000), status(1, 500_000),
        status(2, 1_000_000), status(2, 1_000_000, "completed", candidate_units=5_000, standing="unjudged"),
    )  # fmt: skip
    figures = ["1,510", "2,030", "+169% [+60%, ?]", "no control"]
    assert found == [
        ["x", "canary", "20 %", "1.0 s", *figures, "went on to half"],
        ["x", "half", "50 %", "2.0 s", *figures, "went on to finish"],
        ["x", "finish", "100 %", "1.0 s", "5,000", "2,030", "no control", "no control", "completed"],
    ]


def test_a_rollback_ends_the_table_and_says_by_whom(session: Session, control: ScriptedControl) -> None:
    """What came after it is not shown, not even a second proof."""
    ended = status(0, 200_000, "rolled back", "engine")
    entries = (status(0, 200_000), ended)
    (row,) = rows(session, control, *entries)
    assert row[1] == "canary"
    assert row[-1] == "rolled back by engine"


def test_a_rollout_that_never_ran_has_no_rows(session: Session, control: ScriptedControl) -> None:
    assert rows(session, control, "", '{"run": null}') == []
