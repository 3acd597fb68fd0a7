"""Where one client keeps its ruleset on disk: what is read at the start, and when what is there is replaced."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollout_sdk.snapshot_file import SnapshotFile

if TYPE_CHECKING:
    from rollout_sdk.held import Held
    from rollout_sdk.wire.snapshot import Snapshot


class Shelf:
    """One path, which other processes may share. Trouble with it is warned of and never raised."""

    def __init__(self, path: str) -> None:
        self._file = SnapshotFile(path)

    def read(self) -> Snapshot | None:
        """Return what is kept; None where nothing is, or nothing that can be read."""
        from rollout_sdk.wire import snapshot
        from rollout_sdk.wire.records import WireError

        data = self._file.read()
        if data is None:
            return None
        try:
            return snapshot.unpack(data)
        except WireError as error:
            self._file.reject(error)
            return None

    def save(self, held: Held) -> bool:
        """Write what is in force, unless another process has written that or something newer.

        Returns:
            False where another process is writing just now: try again.
        """
        with self._file.alone() as is_alone:
            if is_alone and not self._is_there(held):
                self._write(held)
        return is_alone

    def _is_there(self, held: Held) -> bool:
        from rollout_sdk.wire import snapshot
        from rollout_sdk.wire.records import WireError

        data = self._file.peek()
        if data is None:
            return False
        try:
            there = snapshot.unpack(data).position
        except WireError:
            return False
        return there.epoch == held.position.epoch and there.revision >= held.position.revision

    def _write(self, held: Held) -> None:
        from rollout_sdk.wire import snapshot

        records = [*held.good.values(), *held.records.values()]
        saved_at_ms = time.time_ns() // 1_000_000
        self._file.write(snapshot.pack(held.position, records, held.chunks.values(), saved_at_ms=saved_at_ms))


def monotonic_s(at_ms: int) -> float | None:
    """Return a moment of the wall clock by the monotonic one, never after now; None for none."""
    return time.monotonic() - max(0, time.time_ns() // 1_000_000 - at_ms) / 1_000 if at_ms else None
