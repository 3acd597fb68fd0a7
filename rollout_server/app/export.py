"""Export: the ruleset as a file for clients without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment


async def export(environment: Environment) -> bytes:
    """Return a snapshot file, framed as `wire.snapshot` does; `Client.offline` reads it."""
