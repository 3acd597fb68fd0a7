"""The processes of a relay, and what upstream has not heard of them yet.

What waits to be told is who changed, never what happened: however long upstream is away, it is no more than there are
processes, and what is told when it is back is how they are by then.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from itertools import count, islice
from typing import TYPE_CHECKING

from rollout_sdk.wire.relaying import Joined, News
from rollout_server.app.instances import COUNTS_FOR_MS, Instances

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Acknowledgement, Greeting
    from rollout_server.app.instances import Instance
    from rollout_server.app.record_log import Mark
    from rollout_server.ports import Clock

NEWS_MAX = 1_000
"""Processes in one message: small enough for upstream to do other work in between."""

TELL_EVERY_S = 0.05
"""A certificate waits for it; and what ten thousand processes say at once becomes a few messages."""

_Key = tuple[str, str]


class Roster(Instances):
    """Processes that connect here and count upstream."""

    def __init__(
        self,
        clock: Clock,
        position: Callable[[], Position],
        mark: Callable[[int], Mark | None],
        instances_max: int = 50_000,
    ) -> None:
        """Know nobody yet; arguments as for `Instances`. What flags need is upstream's to know."""
        super().__init__(clock, position, mark, frozenset, instances_max)
        self._next_number = count(1)
        self._changed: OrderedDict[_Key, None] = OrderedDict()
        self._words: dict[_Key, Acknowledgement] = {}
        self._left: OrderedDict[_Key, Instance] = OrderedDict()  # by the time of the goodbye
        self._told: dict[_Key, tuple[int, int]] = {}  # number, and the connection that upstream knows it by
        self._wake = asyncio.Event()

    def join(self, greeting: Greeting, token_id: str, behind: str = "", connected_ms_ago: int = 0) -> object:
        """See `Instances`."""
        stream = super().join(greeting, token_id, behind, connected_ms_ago)
        self._words.pop((token_id, greeting.instance_id), None)
        self._is_news((token_id, greeting.instance_id))
        return stream

    def acknowledge(self, stream: object, acknowledgement: Acknowledgement) -> int:
        """See `Instances`."""
        lag_ms = super().acknowledge(stream, acknowledgement)
        seat = self._seat(stream)
        if seat is not None:
            self._words[seat.key] = acknowledgement
            self._is_news(seat.key)
        return lag_ms

    def leave(self, stream: object) -> None:
        """See `Instances`. A goodbye is told for an hour: to an upstream that is away now, it may be news then."""
        seat = self._seat(stream)
        super().leave(stream)
        if seat is not None:
            self._words.pop(seat.key, None)
            self._left[seat.key] = replace(seat.instance, is_connected=False, last_seen_at_ms=self._clock.now_ms())
            if len(self._left) > self._instances_max:
                self._left.popitem(last=False)
            self._is_news(seat.key)

    def disconnect(self, stream: object, *, is_out_of_sight: bool = False) -> None:
        """See `Instances`."""
        super().disconnect(stream, is_out_of_sight=is_out_of_sight)
        seat = self._seat(stream)
        if seat is not None:
            self._words.pop(seat.key, None)
            self._is_news(seat.key)

    async def tell(self) -> AsyncIterator[News]:
        """Yield all there is to say to an upstream that knows nothing yet, then what is new, without end.

        One at a time: upstream knows only what the last one that was asked for has yielded.
        """
        self._told = {}
        since_ms = self._clock.now_ms() - COUNTS_FOR_MS
        while self._left and next(iter(self._left.values())).last_seen_at_ms < since_ms:
            self._left.popitem(last=False)
        self._changed = OrderedDict.fromkeys((*(seat.key for seat in self._counting()), *self._left))
        while True:
            while self._changed:
                yield self._news()
            self._wake.clear()
            await self._wake.wait()
            await asyncio.sleep(TELL_EVERY_S)

    def _is_news(self, key: _Key) -> None:
        self._changed[key] = None
        self._wake.set()

    def _news(self) -> News:
        """Return how the next processes are that changed."""
        joined: list[Joined] = []
        words: dict[Acknowledgement, list[int]] = {}
        left: list[int] = []
        lost: list[int] = []
        for key in tuple(islice(self._changed, NEWS_MAX)):
            del self._changed[key]
            seat = self._seats.get(key)
            one = seat.instance if seat else self._left.get(key)
            if one is None:
                continue  # forgotten since; upstream forgets it after an hour, too
            is_here = seat is not None and one.is_connected
            number, connected_at_ms = self._told.pop(key, (0, 0))
            is_known = number > 0 and (not is_here or connected_at_ms == one.connected_at_ms)
            if not is_known:
                number = next(self._next_number)
                joined.append(self._joined(number, one, is_here=is_here))
            if is_here:
                self._told[key] = number, one.connected_at_ms
                if key in self._words:
                    words.setdefault(self._words[key], []).append(number)
            elif seat is None:
                left.append(number)
            elif is_known:
                lost.append(number)
        told = tuple((word, tuple(numbers)) for word, numbers in words.items())
        return News(tuple(joined), told, tuple(left), tuple(lost))

    def _joined(self, number: int, one: Instance, *, is_here: bool) -> Joined:
        now_ms = self._clock.now_ms()
        away_ms = None if is_here else max(0, now_ms - one.last_seen_at_ms)
        return Joined(number, one.token_id, one.greeting, max(0, now_ms - one.connected_at_ms), away_ms)
