"""`rollout wait`: the exit code says what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.rollout_scenes import got, launch

RUNNING, OVER = launch(), launch("completed", "finish")


@pytest.mark.parametrize(
    ("seen", "words", "code"),
    [
        ((RUNNING, OVER), (), 0),
        ((RUNNING,), ("--for", "quarter"), 0),
        ((RUNNING,), ("--for", "staff"), 0),
        ((RUNNING, launch(stage="full")), ("--for", "full"), 0),
        ((OVER,), ("--for", "full"), 0),
        ((RUNNING, launch("rolled back")), (), 4),
        ((RUNNING, launch(killed=True)), (), 4),
        ((RUNNING, launch(run=4)), ("--for", "full"), 4),
        ((RUNNING, launch("completed", "finish", run=4)), (), 4),
        ((RUNNING, launch("cancelled")), ("--for", "full"), 4),
        ((RUNNING, launch("held")), ("--no-hold",), 5),
        ((RUNNING, launch("paused")), ("--no-hold",), 5),
        ((RUNNING, launch("held"), OVER), (), 0),
        ((RUNNING,), ("--timeout", "3s"), 5),
        ((RUNNING,), ("--for", "nowhere"), 2),
        ((RUNNING,), ("--timeout", "soon"), 2),
        ((launch("", run=0),), (), 1),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    rollout: CommandLine, control: ScriptedControl, seen: Any, words: tuple[str, ...], code: int
) -> None:
    """For gates in CI."""
    control.on("GetRollout", *got(*seen))
    assert rollout("wait", "checkout", *words).code == code


def test_a_time_that_is_over_says_where_it_stands(rollout: CommandLine, control: ScriptedControl) -> None:
    """And what to look at."""
    control.on("GetRollout", *got(RUNNING))
    outcome = rollout("wait", "checkout", "--timeout", "3s")
    assert "completed was not reached within 3s: launch run 3 at quarter" in outcome.err
    assert "next: rollout watch launch" in outcome.err
    assert rollout("wait", "checkout", "--for", "quarter", "-o", "json").data["rollout"]["stage"] == "quarter"
