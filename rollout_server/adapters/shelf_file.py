"""Bytes in a file: written aside, synced, renamed, so that a crash leaves the old file or the new one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path


class ShelfFile:
    """Fulfils `ports.Shelf`; readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """Return what was saved last, or None."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def save(self, data: bytes) -> None:
        """Keep this instead."""
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise Unavailable("data", f"{self._path} cannot be written: {error.strerror}") from error
