"""`rollout fmt`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine

UGLY = "kind:   Flag # why\nmetadata: {key:   cart}\nspec: {default: on}\n"


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "flags.yaml"
    path.write_text(UGLY, encoding="utf-8")
    path.chmod(0o640)
    return path


def test_written_once_and_stable(ugly: Path) -> None:
    outcome = CommandLine()("fmt", str(ugly))
    assert outcome.code == 0
    assert outcome.err == f"~ {ugly} written\n"
    text = ugly.read_text(encoding="utf-8")
    assert "# why" in text
    assert '"on"' in text
    assert ugly.stat().st_mode & 0o777 == 0o640
    assert "none would change" in CommandLine()("fmt", str(ugly)).err


def test_check_writes_nothing_and_is_3(ugly: Path) -> None:
    outcome = CommandLine()("fmt", "--check", str(ugly))
    assert outcome.code == 3
    assert ugly.read_text(encoding="utf-8") == UGLY
    assert f"{ugly} would change" in outcome.err


def test_diff_shows_what_would_change(ugly: Path) -> None:
    outcome = CommandLine()("fmt", "--diff", str(ugly))
    assert outcome.code == 3
    assert "-kind:   Flag # why\n" in outcome.out
    assert ugly.read_text(encoding="utf-8") == UGLY


def test_a_symbolic_link_stays_one(ugly: Path) -> None:
    link = ugly.with_name("link.yaml")
    link.symlink_to(ugly)
    assert CommandLine()("fmt", str(link)).code == 0
    assert link.is_symlink()
    assert ugly.read_text(encoding="utf-8") != UGLY


def test_standard_input_goes_to_standard_output() -> None:
    outcome = CommandLine()("fmt", "-", stdin=UGLY.encode())
    assert outcome.code == 0
    assert outcome.out.startswith("kind: Flag")


def test_what_cannot_be_read_is_not_touched_and_the_rest_is_written(ugly: Path) -> None:
    broken = ugly.with_name("broken.yaml")
    broken.write_text("a: [", encoding="utf-8")
    outcome = CommandLine()("fmt", str(ugly.parent))
    assert outcome.code == 1
    assert f"{broken}:1:" in outcome.err
    assert broken.read_text(encoding="utf-8") == "a: ["
    assert ugly.read_text(encoding="utf-8") != UGLY
