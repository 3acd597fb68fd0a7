"""Waiting for what other processes do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

WITHIN_S = 60.0


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again.

    Raises:
        TimeoutError: it did not come about within `WITHIN_S`.
    """
    async with asyncio.timeout(WITHIN_S):
        while not await is_so():  # noqa: ASYNC110 - what is asked is in other processes
            await asyncio.sleep(0.05)
