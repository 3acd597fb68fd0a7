"""One environment's place in Redis, and what this process knows of its history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from rollout_server.adapters.redis_link import RedisLink
    from rollout_server.adapters.redis_rows import Standing
    from rollout_server.domain.entries import Head
    from rollout_server.ports import Clock


class Ground:
    """One environment's place.

    Attributes:
        key: of its "meta", from which all others are made.
        server_key: signs its checkpoints.
        known: the newest head that this process knows to be of the history. A store that no longer has it has lost
            something, and takes no commit from here until the state was read anew: what was decided rests on it.
        epoch: as it was loaded last; None before.
        closing: set in the end.
        lost: set where a commit found that the store has lost something, until a load has found out what.
    """

    def __init__(self, link: RedisLink, environment: str, server_key: bytes, clock: Clock) -> None:
        self.link = link
        self.environment = environment
        self.key = rows.meta_key(environment)
        self.server_key = server_key
        self.clock = clock
        self.known: Head | None = None
        self.epoch: str | None = None
        self.closing = asyncio.Event()
        self.lost = asyncio.Event()

    def beside(self, name: str) -> str:
        """Return the key of another part of the environment."""
        return self.key.removesuffix("meta") + name

    def advance(self, head: Head) -> None:
        """Note a later head of the same history."""
        if self.known is None or head.revision > self.known.revision:
            self.known = head

    def check_open(self) -> None:
        """Refuse what is asked after the end.

        Raises:
            Unavailable: it was closed.
        """
        if self.closing.is_set():
            raise Unavailable("journal", f"{self.link.where}: it was closed", "start the server again")

    async def standing(self, *revisions: int) -> Standing:
        """Return where the environment stands, and the digests at these revisions.

        Raises:
            Corrupt: it is no longer there.
            Unavailable: the store is away.
        """
        self.check_open()
        return rows.read_standing(await self.link.ask(scripts.STANDING, self.key, *revisions), self.environment)
