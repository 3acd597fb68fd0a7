"""What is on the shelf survives, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.adapters.shelf_file import ShelfFile
from rollout_server.errors import Unavailable


def test_what_was_saved_last_is_there(tmp_path: Path) -> None:
    """In a directory that is made when missing, for the eyes of its owner."""
    path = tmp_path / "data" / "kept"
    shelf = ShelfFile(path)
    assert shelf.load() is None
    shelf.save(b"one")
    shelf.save(b"two")
    assert ShelfFile(path).load() == b"two"
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["kept"]


def test_a_place_that_takes_nothing_is_said(tmp_path: Path) -> None:
    """What was there stays."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be written"):
        ShelfFile(tmp_path / "file" / "kept").save(b"one")
    assert ShelfFile(tmp_path / "file" / "kept").load() is None
