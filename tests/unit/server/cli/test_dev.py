"""The pieces of `rollout dev`; the whole is run in tests/e2e/test_dev.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.dev import _executable, _read, _write_private

if TYPE_CHECKING:
    import pytest


def test_commands_paste_without_activating_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path printed is the one that was typed, short where it can be."""
    monkeypatch.setattr("sys.argv", [str(Path.cwd() / ".venv/bin/rollout"), "dev"])
    assert _executable() == ".venv/bin/rollout"
    monkeypatch.setattr("sys.argv", ["/elsewhere/bin/rollout", "dev"])
    assert _executable() == "/elsewhere/bin/rollout"
    monkeypatch.setattr("sys.argv", ["/elsewhere/__main__.py", "dev"])
    assert _executable().endswith("-m rollout_server")


def test_the_shop_token_is_private(tmp_path: Path) -> None:
    """Nobody else on the machine can read it, and it survives a restart."""
    path = tmp_path / "shop-token"
    assert not _read(path)
    _write_private(path, "rg_one")
    _write_private(path, "rg_two")
    assert _read(path) == "rg_two"
    assert path.stat().st_mode & 0o777 == 0o600
