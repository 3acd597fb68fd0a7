"""How `rollout demo` tells its story; the whole is run in tests/e2e/test_demo.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.demo_crew import Crew
from rollout_server.cli.demo_story import BAD_RELEASE, Story
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.session import Session
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl, serving
from tests.rollout_scenes import got, guardrail, launch


@dataclass
class StagedCrew(Crew):
    """Nobody is started; commands answer what a test says.

    Attributes:
        answers: by command, what it prints and its exit code.
        counted: what visitors saw, look by look; the last one stays.
    """

    answers: dict[str, tuple[str, int]] = field(default_factory=dict)
    counted: list[dict[str, int]] = field(default_factory=lambda: [{}])

    def command(self, *arguments: str) -> tuple[str, int]:
        return self.answers.get(arguments[0], ("", 0))

    def seen(self) -> dict[str, int]:
        return self.counted.pop(0) if len(self.counted) > 1 else self.counted[0]


@dataclass
class Stage:
    """A story, and what was told so far."""

    control: ScriptedControl
    crew: StagedCrew
    story: Story
    line: CommandLine
    screen: pytest.CaptureFixture[str]
    so_far: str = ""

    @property
    def told(self) -> str:
        self.so_far += self.screen.readouterr().out
        return self.so_far


@pytest.fixture
def stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    control, line = ScriptedControl(), CommandLine()
    with serving(control) as server:
        crew = StagedCrew(tmp_path, tmp_path)
        story = Story(Session(line.world({"COLUMNS": "200"})), crew)
        story.session.remember(server=server, token="rg_test", environment="production")
        yield Stage(control, crew, story, line, capsys)
        story.session.close()


def test_a_state_is_told_once_with_the_guardrails_that_could_end_it(stage: Stage) -> None:
    """As often as it is asked; those that only tell are left out."""
    quiet = [guardrail("a.failed"), guardrail("b.noted", action="notify")]
    running = launch(guardrails=quiet)
    stage.control.on("GetRollout", *got(running, running, running, launch("completed", sentence="launch is completed")))
    assert stage.story.follow("launch", until=lambda _: False).phase == "completed"
    assert stage.told.count(running.sentence) == 1
    assert stage.told.count("a.failed +0.3 %") == 1
    assert "b.noted" not in stage.told
    assert stage.told.count("launch is completed") == 1


def test_a_rollout_that_stands_still_ends_the_demo(stage: Stage) -> None:
    """After a minute and a half, with the sentence that says where it stands."""
    stage.control.on("GetRollout", *got(launch()))
    with pytest.raises(CommandFailed) as failed:
        stage.story.follow("launch", until=lambda _: False)
    assert launch().sentence in failed.value.what
    assert failed.value.hint == "keep its logs with --keep DIR"
    assert stage.line.waited_ms >= 90_000


@pytest.mark.parametrize(
    ("ended", "complaint"),
    [
        (launch("completed"), "the bad release was not rolled back"),
        (launch("rolled back", end=pb.End(who="mia")), "was rolled back by somebody, not by itself"),
        (launch("rolled back", end=pb.End(who="engine")), ""),
    ],
)
def test_the_bad_release_must_be_taken_back_by_the_engine(stage: Stage, ended: pb.Rollout, complaint: str) -> None:
    """The demo fails where the product did; it never tells a story that did not happen."""
    stage.control.on("GetRollout", *got(ended))
    if not complaint:
        stage.story.bad_release()
        assert f"$ rollout start {BAD_RELEASE}" in stage.told
        return
    with pytest.raises(CommandFailed, match=complaint):
        stage.story.bad_release()


def test_an_incomplete_proof_is_no_happy_end(stage: Stage) -> None:
    """`rollback` exits 5: what it printed is shown, and the demo fails."""
    stage.crew.answers["rollback"] = ("only 3 of 4 processes\n", 5)
    with pytest.raises(CommandFailed, match="not every process is known to obey"):
        stage.story.close()
    assert "  only 3 of 4 processes\n" in stage.told


def test_a_command_that_fails_ends_the_demo_with_what_it_said(stage: Stage) -> None:
    """All but a rollback, whose exit code is judged by the story."""
    stage.crew.answers["start"] = ("error: no\n\nnext: look\n", 1)
    with pytest.raises(CommandFailed) as failed:
        stage.story.type("start", "x", "--reason", "two words")
    assert failed.value.details == ("error: no", "next: look")
    assert "$ rollout start x --reason 'two words'" in stage.told


def test_visitors_count_beside_it_from_the_beginning_of_the_act(stage: Stage) -> None:
    """A variant that nobody saw since then is not mentioned."""
    before = {"search off visits": 100, "search off failed": 50, "search on visits": 7}
    stage.crew.counted = [{**before, "search off visits": 300, "search off failed": 60}]
    stage.story.seen("search", before)
    assert "visitors' own count: with off 5.0% of 200 visits failed" in stage.told
    assert "with on" not in stage.told


def test_nobody_waits_for_ever(stage: Stage) -> None:
    """A server that never answers, shops that never connect."""
    stage.crew.answers["status"] = ("", 9)
    stage.crew.serve = lambda: None  # type: ignore[method-assign]  # nothing is started here
    with pytest.raises(CommandFailed, match="waited 30 s in vain until the server answers"):
        stage.story.open()
