"""Backup: a consistent copy of the whole store, in pieces."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PIECE_BYTES = 256 * 1024


async def backup(copy: Callable[[Path], Awaitable[None]]) -> AsyncGenerator[bytes, None]:
    """Yield the copy in pieces of at most `PIECE_BYTES`; restored later, it is a new epoch.

    The copy lies in a private directory of the system's temporary one until the last piece is read.

    Args:
        copy: writes it to a path where nothing is.

    Raises:
        Unavailable: the store is away, or the copy cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rollout-backup-") as directory:
            target = Path(directory) / "backup"
            await copy(target)
            with await asyncio.to_thread(target.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                    yield piece
    except OSError as error:
        hint = "free some space where the server keeps temporary files, or set TMPDIR to a larger place"
        raise Unavailable("backup", f"the copy cannot be written: {error}", hint) from error
