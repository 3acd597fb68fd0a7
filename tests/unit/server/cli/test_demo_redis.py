"""The demo's replicas, with a real Redis: who drives is known, killed, and followed. The story is in tests/e2e."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout_server.cli.demo_redis import Replicas, Takeover, redis_program
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.session import Session
from rollout_server.cli.world import World
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl, serving
from tests.real_redis import redis_program as program_of_tests
from tests.rollout_scenes import got, launch

WITHIN_S = 60.0


def until(is_so: Callable[[], object]) -> None:
    ends_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def test_redis_is_found_where_the_tests_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, on PATH, or in the wheel."""
    assert redis_program({"REDIS_SERVER": "/opt/redis-server", "PATH": ""}) == "/opt/redis-server"
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    assert Path(redis_program({"PATH": ""})).samefile(program_of_tests())


@pytest.mark.timeout(180)
def test_whoever_drives_is_killed_and_the_other_takes_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As its own figures say; commands and connections go to who is left, and nothing is left running."""
    with Replicas(tmp_path, tmp_path, program=program_of_tests()) as crew:
        story = Takeover(Session(World(environ={"COLUMNS": "120"})), crew)
        assert crew.leader() is None
        story.serve()
        found = crew.leader()
        assert found is not None
        leader, token = found
        assert f"{leader.name} holds the lease" in capsys.readouterr().out
        crew.kill(leader.name)
        assert leader.lease() is None
        (left,) = [one for one in crew.replicas if one != leader]
        until(left.lease)
        assert (left.lease() or 0) > token
        crew.address = crew.shops_server
        until(lambda: crew.command("health")[1] == 0)
        story.session.close()
        children = list(crew.children.values())
        crew.check()
    assert all(child.poll() is not None for child in children)


def test_a_release_that_is_over_too_soon_ends_the_demo(tmp_path: Path) -> None:
    """It never tells of a killing in the middle of nothing."""
    control, line = ScriptedControl(), CommandLine()
    with serving(control) as server:
        control.on("GetRollout", *got(launch("rolled back", sentence="it was rolled back")))
        story = Takeover(Session(line.world({"COLUMNS": "120"})), Replicas(tmp_path, tmp_path))
        story.session.remember(server=server, token="rg_test", environment="production")
        with pytest.raises(CommandFailed, match="was over before its driver could be killed: it was rolled back"):
            story.amid("launch")
        story.session.close()
