"""Notes as a JSON file: written aside and renamed, never half there."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_sdk.engine.model import Json
    from rollout_server.ports import Notes


class NotesFile:
    """Fulfils `ports.Notes`. Not synced to the disk: a crash of the machine may cost the latest."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Json:
        """Return what was saved last, or None."""
        try:
            value: Json = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return value

    def save(self, value: Json) -> None:
        """Keep this instead."""
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, separators=(",", ":"))
            part.replace(self._path)
        except OSError as error:
            raise Unavailable("notes", f"{self._path} cannot be written: {error.strerror}") from error


class OwnNotes:
    """Notes of a store that one process uses: `ports.FencedNotes` without a fence, for nobody else keeps them."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def load(self) -> Json:
        """Return what was saved last, or None."""
        return await asyncio.to_thread(self._notes.load)

    async def save(self, value: Json, fence: int) -> None:  # noqa: ARG002 - as the port has it
        """Keep this instead."""
        await asyncio.to_thread(self._notes.save, value)
