"""Scenarios of the rollout machine: events in, states and effects out, as text that anybody can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.machine_script import SCENARIOS, played

PATHS = sorted(SCENARIOS.glob("*.txt"))


def test_there_are_scenarios() -> None:
    """They are found where they are kept."""
    assert len(PATHS) >= 7


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_scenario_goes_as_it_is_written(path: Path) -> None:
    """The machine says what the file says. Meant otherwise? `python -m tests.scenarios.machine_script`, then read."""
    text = path.read_text(encoding="utf-8")
    assert played(text) == text
