"""A command line against a control service that answers what a test told it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl, serving


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
def rollout(control: ScriptedControl) -> Iterator[CommandLine]:
    with serving(control) as server:
        yield CommandLine(server)
