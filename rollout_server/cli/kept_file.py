"""A stream of bytes into a file: written aside, private, and in its place only when it is whole."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.failures import CommandFailed, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def keep(path: str, pieces: Iterable[bytes], progress: Callable[[int], None], *, replaces: bool) -> int:
    """Write the pieces, and return how many bytes they were. "-" is standard output.

    The file is readable by its owner only: backups and snapshots hold what people write about users.

    Raises:
        CommandFailed: it exists and may not be replaced, or cannot be written; nothing is left behind.
    """
    if path == "-":
        return _copy(pieces, sys.stdout.buffer.write, progress)
    target = Path(path)
    if target.is_dir():
        raise usage(f"{path} is a directory", "name a file in it")
    if target.exists() and not replaces:
        raise usage(f"{path} exists already", "name another file, or remove it first")
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                written = _copy(pieces, file.write, progress)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}; nothing is left of it") from error
    return written


def _copy(pieces: Iterable[bytes], write: Callable[[bytes], object], progress: Callable[[int], None]) -> int:
    written = 0
    for piece in pieces:
        write(piece)
        written += len(piece)
        progress(written)
    return written


def size(count: int) -> str:
    """Write bytes for people: "812 bytes", "3.4 MiB"."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:  # noqa: PLR2004 - the step between units
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
