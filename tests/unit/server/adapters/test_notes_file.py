"""Notes: what was saved last is read, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.adapters.notes_file import NotesFile
from rollout_server.errors import Unavailable


def test_what_was_saved_last_is_read_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    NotesFile(path).save([["a", 1]])
    NotesFile(path).save([["b", 2]])
    assert NotesFile(path).load() == [["b", 2]]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["notes.json"]


@pytest.mark.parametrize("text", [None, b"", b"{", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: bytes | None) -> None:
    """A damaged note never keeps a server from starting."""
    path = tmp_path / "notes.json"
    if text is not None:
        path.write_bytes(text)
    assert NotesFile(path).load() is None


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written"):
        NotesFile(tmp_path / "absent" / "notes.json").save([])
