"""Secrets of channels: variables of this process that its settings name, and no others.

Whoever may write a channel chooses a variable by name; without a list that person could send any of them anywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rollout_server.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ChannelSecrets:
    """Looks a secret up when it is needed, so that it lives nowhere else."""

    def __init__(self, allowed: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> None:
        """Take the names that the setting allows."""
        self._allowed = frozenset(allowed)
        self._environ = environ

    def get(self, name: str) -> str:
        """Return the secret; never empty.

        Raises:
            Refused: "channel", the variable is not allowed, not set, or empty.
        """
        if name not in self._allowed:
            hint = "add it to channel_secrets (ROLLOUT_CHANNEL_SECRETS), and restart the server"
            raise Refused("channel", f"channels may not use the variable {name}", hint)
        secret = self._environ.get(name, "")
        if not secret:
            hint = "set it where the server runs, and restart the server"
            raise Refused("channel", f"the variable {name} is not set", hint)
        return secret
