"""The lease of a store that one process uses: always held, and every start makes a new token.

The token matters here, too: a process that hangs while its successor starts on the same file writes nothing more.
"""

from __future__ import annotations

from typing import Protocol


class FencedStore(Protocol):
    """A journal that keeps the newest token of its lease."""

    async def fence(self) -> int:
        """Return the newest token; 0 before the first."""

    async def raise_fence(self) -> int:
        """Make the next token, durably, and return it."""


class LocalLease:
    """See `ports.Lease`."""

    def __init__(self, store: FencedStore) -> None:
        self._store = store
        self._token: int | None = None
        self._is_lost = False

    @property
    def term_ms(self) -> int:
        """0: it does not end by itself."""
        return 0

    async def acquire(self) -> int | None:
        """Return the token; the first call makes it, and ends the lease of every process before this one for good."""
        if self._token is None and not self._is_lost:
            self._token = await self._store.raise_fence()
        return self._token

    async def renew(self) -> bool:
        """Whether no other process has started on the store since."""
        if self._token is not None and await self._store.fence() != self._token:
            self._token, self._is_lost = None, True  # taking it back would make two processes take turns
        return self._token is not None

    async def release(self) -> None:
        """Forget the token."""
        self._token = None
