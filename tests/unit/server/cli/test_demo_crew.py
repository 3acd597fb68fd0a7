"""The processes of `rollout demo`, with small ones in the place of shops."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from rollout_server.cli.demo_crew import Crew, new_home, typed
from rollout_server.cli.failures import CommandFailed

WAITS = "import sys; print('here', flush=True); sys.stdin = None; import signal; signal.pause()"


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(tmp_path, tmp_path / "examples")


def test_all_end_with_the_crew_the_last_first(crew: Crew) -> None:
    """The visitors before the shops, the shops before the server; no process is left behind."""
    ended: list[str] = []
    stop = crew.stop

    def noting(name: str) -> None:
        ended.append(name)
        stop(name)

    crew.stop = noting  # type: ignore[method-assign]  # the order is what this test is about
    with crew:
        crew.run("server", "-c", WAITS)
        crew.run("visitors", "-c", WAITS)
        processes = [psutil.Process(child.pid) for child in crew.children.values()]
    assert ended == ["visitors", "server"]
    assert not [process for process in processes if process.is_running()]
    assert crew.children == {}


def test_who_ends_early_is_named_with_its_last_words(crew: Crew) -> None:
    """What a process printed, both streams, is in a file of its name."""
    with crew:
        crew.run("shop-1", "-c", WAITS)
        crew.check()
        crew.run("shop-2", "-c", "import sys; print('no flags', file=sys.stderr); sys.exit(3)")
        crew.children["shop-2"].wait()
        with pytest.raises(CommandFailed) as failed:
            crew.check()
    assert failed.value.what == "shop-2 ended with code 3"
    assert failed.value.details == ("no flags",)


def test_what_visitors_counted_is_read_whole_or_not_at_all(crew: Crew) -> None:
    """Before the first visit there is no file."""
    assert crew.seen() == {}
    (crew.home / "seen.json").write_text('{"checkout on vis', encoding="ascii")
    assert crew.seen() == {}
    (crew.home / "seen.json").write_text('{"checkout on visits": 3}', encoding="ascii")
    assert crew.seen() == {"checkout on visits": 3}


def test_a_command_is_typed_as_a_user_would(crew: Crew) -> None:
    """With the first token of the demo's own server; its output and its exit code come back."""
    (crew.home / "data").mkdir()
    (crew.home / "data" / "first-admin-token").write_text("rg_first\n", encoding="ascii")
    assert crew.token == "rg_first"
    said, code = crew.command("pasue")
    assert code == 2
    assert "did you mean pause?" in said
    assert typed(("start", "x", "--reason", "it is time")) == "$ rollout start x --reason 'it is time'"


def test_nothing_is_left_of_a_demo(tmp_path: Path) -> None:
    """Its home goes; every crew has an address of its own."""
    with new_home() as home:
        assert Path(home).is_dir()
        assert [*Path(home).iterdir()] == []
    assert not Path(home).exists()
    assert Crew(tmp_path, tmp_path).address.startswith("127.0.0.1:")
    assert Crew(tmp_path, tmp_path).outage == tmp_path / "outage"
