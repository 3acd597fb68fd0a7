"""Backup: a consistent copy, in pieces."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from rollout_server.app.backup import PIECE_BYTES, backup
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import flag, opened, put


class LargeJournal(MemoryJournal):
    async def backup(self, target: Path) -> None:
        await asyncio.to_thread(target.write_bytes, b"x" * (2 * PIECE_BYTES + 7))


async def test_the_pieces_are_the_whole_store(tmp_path: Path) -> None:
    """Put together and opened, the copy is the same state in a new epoch."""
    async with opened() as environment:
        await put(environment, flag("a"))
        copy = tmp_path / "copy"
        copy.write_bytes(b"".join([piece async for piece in backup(environment.journal.backup)]))
        restored = await MemoryJournal.restored(copy, FakeClock()).load()
        assert restored.resources == environment.state.resources
        assert restored.position.digest == environment.position.digest
        assert restored.position.epoch != environment.position.epoch


async def test_pieces_are_bounded_and_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the store is; and the copy is gone when the last piece, or the reader, is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with opened(LargeJournal()) as environment:
        sizes = [len(piece) async for piece in backup(environment.journal.backup)]
        assert sizes == [PIECE_BYTES, PIECE_BYTES, 7]
        half_read = backup(environment.journal.backup)
        await anext(half_read)
        assert await asyncio.to_thread(os.listdir, tmp_path)
        await half_read.aclose()
        assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    async with opened() as environment:
        with pytest.raises(Unavailable) as refusal:
            await anext(backup(environment.journal.backup))
        assert "TMPDIR" in refusal.value.hint
