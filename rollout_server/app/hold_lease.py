"""Holding the lease: whoever does drives the rollouts of an environment, and knows when they no longer may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.errors import RolloutError
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from rollout_server.ports import Clock, Lease

EVERY_MS = 1_000
"""How often a lease without a term is looked at."""

RENEWALS, LOOKS = 3, 10
"""How often a term is renewed by its holder, and looked at by whoever waits for its end."""


class HoldLease:
    """Asks for one environment's lease, and renews it. Lives on one event loop."""

    def __init__(self, environment: str, lease: Lease, clock: Clock) -> None:
        """Hold nothing yet."""
        self._environment = environment
        self._lease = lease
        self._clock = clock
        self._token: int | None = None
        self._until_ms = 0
        self._is_silent = False

    def fence(self) -> int | None:
        """Return the token while the lease is held for all that this process knows; None while another may hold it."""
        if self._lease.term_ms and self._clock.monotonic_ms() >= self._until_ms:
            return None
        return self._token

    @property
    def pause_ms(self) -> int:
        """How long to rest before the next look: whoever waits for a lease looks more often than its holder."""
        return self._lease.term_ms // (LOOKS if self._token is None else RENEWALS) or EVERY_MS

    async def look(self) -> None:
        """Renew the lease, or ask for it."""
        asked_ms = self._clock.monotonic_ms()  # before the store is asked: its term begins no earlier
        before = self._token
        try:
            if self._token is None or not await self._lease.renew():
                self._token = await self._lease.acquire()
        except RolloutError as error:
            if not self._is_silent:
                get_logger().warning(
                    "the lease cannot be asked for", environment=self._environment, why=str(error), hint=error.hint
                )
            self._is_silent = True
            return
        self._is_silent = False
        self._until_ms = asked_ms + self._lease.term_ms
        if before != self._token:
            what = "this server drives the rollouts" if self._token else "another server drives the rollouts"
            get_logger().info(what, environment=self._environment, fence=self._token)

    async def keep_holding(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self.pause_ms / 1_000)
            await self.look()

    async def release(self) -> None:
        """Let go, so that another server need not wait for the term to end."""
        self._token = None
        try:
            await self._lease.release()
        except RolloutError:
            return  # it ends with its term
