"""The processes of one server that others hear of, and what they have not heard yet.

A relay tells them upstream; servers on one store tell each other. What waits to be told is who changed, never what
happened: however long nobody listens, it is no more than there are processes, and what is told then is how they are by
then.
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
    from collections.abc import AsyncIterator, Callable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Acknowledgement, Greeting
    from rollout_server.app.instances import Key, Seat
    from rollout_server.app.record_log import Mark
    from rollout_server.ports import Clock

NEWS_MAX = 1_000
"""Processes in one message: small enough for the listener to do other work in between."""

TELL_EVERY_S = 0.05
"""A certificate waits for it; and what ten thousand processes say at once becomes a few messages."""


class Remembering(Instances):
    """Processes, and for an hour who of them said goodbye: whoever hears late of one must not miss it for ever."""

    def __init__(
        self,
        clock: Clock,
        position: Callable[[], Position],
        mark: Callable[[int], Mark | None],
        needed: Callable[[], frozenset[str]] = frozenset,
        instances_max: int = 50_000,
        replica: str = "",
    ) -> None:
        """Know nobody yet; arguments as for `Instances`."""
        super().__init__(clock, position, mark, needed, instances_max, replica)
        self._left: OrderedDict[Key, Seat] = OrderedDict()  # by the time of the goodbye

    def goodbyes(self) -> Mapping[Key, Seat]:
        """Return where those sat who said goodbye in the last hour, and did not come back."""
        since_ms = self._clock.now_ms() - COUNTS_FOR_MS
        while self._left and next(iter(self._left.values())).instance.last_seen_at_ms < since_ms:
            self._left.popitem(last=False)
        return self._left

    def join(self, greeting: Greeting, token_id: str, behind: str = "", connected_ms_ago: int = 0) -> object:
        """See `Instances`."""
        stream = super().join(greeting, token_id, behind, connected_ms_ago)
        self._left.pop((token_id, greeting.instance_id), None)
        return stream

    def leave(self, stream: object) -> None:
        """See `Instances`."""
        seat = self._seat(stream)
        super().leave(stream)
        if seat is not None:
            self._remember(seat)

    def strike(self, token_id: str, instance_id: str) -> None:
        """See `Instances`."""
        seat = self._seats.get((token_id, instance_id))
        super().strike(token_id, instance_id)
        if seat is not None and seat.key not in self._seats:
            self._remember(seat)

    def _remember(self, seat: Seat) -> None:
        seat.instance = replace(seat.instance, is_connected=False, last_seen_at_ms=self._clock.now_ms())
        self._left.pop(seat.key, None)
        self._left[seat.key] = seat
        if len(self._left) > self._instances_max:
            self._left.popitem(last=False)


class Roster(Remembering):
    """Processes that connect here and are told of elsewhere.

    Attributes:
        tell_every_s: how long news are gathered before they are told.
        is_told: whoever listens has heard of everything that `tell` has yielded until now, and there is nothing else.
    """

    def __init__(
        self,
        clock: Clock,
        position: Callable[[], Position],
        mark: Callable[[int], Mark | None],
        needed: Callable[[], frozenset[str]] = frozenset,
        instances_max: int = 50_000,
    ) -> None:
        """Know nobody yet; arguments as for `Instances`. What flags need is, for a relay, upstream's to know."""
        super().__init__(clock, position, mark, needed, instances_max)
        self.tell_every_s: float | None = None
        self._next_number = count(1)
        self._changed: OrderedDict[Key, None] = OrderedDict()
        self._words: dict[Key, Acknowledgement] = {}
        self._told: dict[Key, tuple[int, object]] = {}  # number, and the connection that the listener knows it by
        self._wake = asyncio.Event()
        self._is_rung = False

    @property
    def is_told(self) -> bool:
        """See above."""
        return not self._changed

    def ring(self) -> None:
        """Let `tell` yield once more, be there news or not."""
        self._is_rung = True
        self._wake.set()

    def join(self, greeting: Greeting, token_id: str, behind: str = "", connected_ms_ago: int = 0) -> object:
        """See `Instances`."""
        stream = super().join(greeting, token_id, behind, connected_ms_ago)
        self._words.pop((token_id, greeting.instance_id), None)
        self._is_news((token_id, greeting.instance_id))
        return stream

    def acknowledge(self, stream: object, acknowledgement: Acknowledgement, ms_ago: int = 0) -> int:
        """See `Instances`."""
        lag_ms = super().acknowledge(stream, acknowledgement, ms_ago)
        seat = self._seat(stream)
        if seat is not None:
            self._words[seat.key] = acknowledgement
            self._is_news(seat.key)
        return lag_ms

    def disconnect(self, stream: object, *, is_out_of_sight: bool = False) -> None:
        """See `Instances`."""
        super().disconnect(stream, is_out_of_sight=is_out_of_sight)
        seat = self._seat(stream)
        if seat is not None:
            self._words.pop(seat.key, None)
            self._is_news(seat.key)

    async def tell(self) -> AsyncIterator[News]:
        """Yield all there is to say to a listener that knows nothing yet, then what is new, without end.

        One at a time: the listener knows only what the last one that was asked for has yielded.
        """
        self._told = {}
        self._changed = OrderedDict.fromkeys((*self.counting(), *self.goodbyes()))
        while True:
            while self._changed or self._is_rung:
                self._is_rung = False
                yield self._news()
            self._wake.clear()
            await self._wake.wait()
            await asyncio.sleep(TELL_EVERY_S if self.tell_every_s is None else self.tell_every_s)

    def _remember(self, seat: Seat) -> None:
        super()._remember(seat)
        self._words.pop(seat.key, None)
        self._is_news(seat.key)

    def _is_news(self, key: Key) -> None:
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
            there = self._seats.get(key)
            seat = there or self._left.get(key)
            if seat is None:
                continue  # forgotten since; the listener forgets it after an hour, too
            is_here = there is not None and seat.instance.is_connected
            number, stream = self._told.pop(key, (0, None))
            is_known = number > 0 and (not is_here or stream is seat.stream)
            if not is_known:
                number = next(self._next_number)
                joined.append(self._joined(number, seat, is_here=is_here))
            if is_here:
                self._told[key] = number, seat.stream
                if key in self._words:
                    words.setdefault(self._words[key], []).append(number)
            elif there is None:
                left.append(number)
            elif is_known:
                lost.append(number)
        told = tuple((word, tuple(numbers)) for word, numbers in words.items())
        return News(tuple(joined), told, tuple(left), tuple(lost))

    def _joined(self, number: int, seat: Seat, *, is_here: bool) -> Joined:
        one = seat.instance
        away_ms = None if is_here else max(0, self._clock.now_ms() - one.last_seen_at_ms)
        connected_ms_ago = max(0, self._clock.monotonic_ms() - seat.since_ms)
        return Joined(number, one.token_id, one.greeting, connected_ms_ago, away_ms, one.behind)
