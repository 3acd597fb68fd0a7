"""Backup: a consistent copy of the whole store, in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment

PIECE_BYTES = 256 * 1024


def backup(environment: Environment) -> AsyncIterator[bytes]:
    """Yield the copy in pieces of at most `PIECE_BYTES`; opened later, it is a new epoch.

    Raises:
        Unavailable: the copy cannot be written.
    """
