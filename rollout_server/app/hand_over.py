"""One attempt to hand a message to its channel: the channel looked up anew, its time and its company bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.rollouts import ChannelSpec
from rollout_server.errors import Refused, RolloutError, Unavailable

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.app.notification_book import Message
    from rollout_server.ports import Channel

MakeChannel: TypeAlias = Callable[[ChannelSpec], "Channel"]

ATTEMPT_S = 120.0
"""Longer than any channel's own limit."""
AT_ONCE_MAX = 4
"""Attempts under way to one channel."""


class HandOver:
    """Makes attempts for one environment. Lives on its event loop."""

    def __init__(self, environment: Environment, make_channel: MakeChannel) -> None:
        self._environment = environment
        self._make_channel = make_channel
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def attempt(self, message: Message) -> RolloutError | None:
        """Return why it was not taken. The channel is looked up each time: mending it mends what waits."""
        spec = self._spec(message.channel)
        if spec is None:
            what = f"there is no channel {message.channel} here any more"
            return Refused("channel", what, "apply one of that key, or take it out of the pipeline's escalation")
        slots = self._slots.setdefault(message.channel, asyncio.Semaphore(AT_ONCE_MAX))
        try:
            async with slots, asyncio.timeout(ATTEMPT_S):
                await self._make_channel(spec).deliver(message.notification)
        except RolloutError as error:
            return error
        except TimeoutError:
            return Unavailable("channel", f"no answer in {ATTEMPT_S:g} s", "it is tried again")
        except Exception as error:  # noqa: BLE001 - a bug in one channel must not silence the others
            self._environment.report("a channel broke", error)
            return Unavailable("channel", "this server failed to send it", "its log says where")
        return None

    def _spec(self, key: str) -> ChannelSpec | None:
        resource = self._environment.resource(ResourceId(Kind.CHANNEL, key))
        return resource.spec if resource is not None and isinstance(resource.spec, ChannelSpec) else None
