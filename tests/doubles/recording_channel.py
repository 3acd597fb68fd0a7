"""A channel that remembers, and fails as a test says."""

from __future__ import annotations

import asyncio

from rollout_server.domain.notification import Notification


class RecordingChannel:
    """Fulfils `ports.Channel`.

    Attributes:
        delivered: what was taken, in order.
        tried: attempts, also those that failed.
        failures: raised by the next attempts, in order.
        is_stuck: never answers.
        under_way: attempts that have not ended.
    """

    def __init__(self, *failures: Exception, is_stuck: bool = False) -> None:
        self.delivered: list[Notification] = []
        self.tried: list[Notification] = []
        self.failures = list(failures)
        self.is_stuck = is_stuck
        self.under_way = 0
        self.most_under_way = 0

    @property
    def ids(self) -> list[str]:
        """What was taken, by id."""
        return [one.id for one in self.delivered]

    async def deliver(self, notification: Notification) -> None:
        self.tried.append(notification)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.is_stuck:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            if self.failures:
                raise self.failures.pop(0)
            self.delivered.append(notification)
        finally:
            self.under_way -= 1
