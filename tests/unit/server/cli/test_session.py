"""What every command shares."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.failures import CommandFailed, Exit
from rollout_server.cli.session import REASON_CHARACTERS_MAX, Session
from rollout_server.cli.world import World
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl


def test_the_environment_is_asked_for_once_and_only_when_nobody_said_it(
    rollout: CommandLine, control: ScriptedControl
) -> None:
    control.on("GetStatus", pb.GetStatusResponse(environment="staging")).on("ListTokens", pb.ListTokensResponse())
    assert rollout("token", "list").err.startswith("production")
    assert not control.requests("GetStatus")
    rollout.environment = ""
    assert rollout("token", "list").err.startswith("staging")
    assert len(control.requests("GetStatus")) == 1


def test_a_reason_is_asked_for_where_somebody_can_answer() -> None:
    session = Session(World(environ={}, is_interactive=lambda: False))
    assert session.intent(None, None).reason == ""
    assert session.intent("why", "k").idempotency_key == "k"
    with pytest.raises(CommandFailed) as failed:
        session.intent("x" * (REASON_CHARACTERS_MAX + 1), None)
    assert failed.value.exit_code is Exit.USAGE


def test_the_option_nearest_to_the_command_wins() -> None:
    session = Session(World(environ={}))
    session.remember(environment="a", server="h:1")
    session.remember(environment="b")
    assert (session.choice.environment, session.choice.server) == ("b", "h:1")
