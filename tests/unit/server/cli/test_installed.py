"""Where the examples are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.cli import installed
from rollout_server.cli.failures import CommandFailed


def test_they_are_found_in_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a package without them says how to get them."""
    assert (installed.examples() / "demo" / "release.yaml").is_file()
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(CommandFailed, match="not installed"):
        installed.examples()
