"""What is said on the streams of one environment, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rollout_server.api.calls import fallen
from rollout_server.api.convert_delivery import bookmark, drain, reset, update
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Part
    from rollout_sdk.wire.v1 import delivery_pb2
    from rollout_server.app.instances import Instances
    from rollout_server.app.record_feed import RecordFeed

    Context = grpc.aio.ServicerContext[delivery_pb2.WatchRequest, bytes]

WRITE_WITHIN_S = 60.0
"""A reader that takes nothing for this long is cut; it comes back to a delta or a snapshot."""

WRITTEN_BYTES_MAX = 64 * 1024 * 1024
"""Kept of one revision's messages for streams still to come."""

_AT_ONCE = 1_024
"""Streams that are started to speak before other work gets its turn, some 35 ms later: the fewer, the more of that is
acknowledgements of those that heard first, which the last one would wait for (docs/adr/0024)."""

_LOOKS_PER_BOOKMARK = 8

RETURNS_PER_S = 2_500
"""Streams that come back in a second when all broke at once: below 5 % of 10,000 in any 100 ms, failed attempts too."""
RETURN_WITHIN_MIN_MS = 250
RETURN_WITHIN_MAX_MS = 30_000


def return_within_ms(streams: int) -> int:
    """Return over how long so many streams are to come back, should they break."""
    return min(max(streams * 1_000 // RETURNS_PER_S, RETURN_WITHIN_MIN_MS), RETURN_WITHIN_MAX_MS)


@dataclass(frozen=True, slots=True)
class Pace:
    """When what is said; see the settings of the same names."""

    hello_within_ms: int
    bookmark_every_ms: int
    reconnect_within_ms: int


class Outlet(Protocol):
    """Where processes are served from: an environment with its store, or the relay of one.

    Attributes:
        streams: how many are open now.
    """

    streams: int

    @property
    def name(self) -> str:
        """The environment's."""

    @property
    def fan_out(self) -> RecordFeed:
        """Where streams are led."""

    @property
    def instances(self) -> Instances:
        """The processes at their ends."""


class Room:
    """The streams of one environment."""

    def __init__(self, served: Outlet, pace: Pace) -> None:
        self.served = served
        self.pace = pace
        self.written = Written()
        self._streams: set[Stream] = set()

    def enter(self, stream: Stream) -> None:
        """Start to lead a stream."""
        self._streams.add(stream)
        self.served.streams = len(self._streams)
        stream.speak()

    def leave(self, stream: Stream) -> None:
        """Lead it no more."""
        self._streams.discard(stream)
        self.served.streams = len(self._streams)

    async def keep_telling(self) -> None:
        """Start every stream to speak whenever the environment moved, or this server drains; until cancelled."""
        fan_out = self.served.fan_out
        while not fan_out.is_draining:
            position = fan_out.position
            await self._start_all()
            await fan_out.moved_from(position)
        await self._start_all()

    async def keep_company(self) -> None:
        """Look after the streams where nothing happens, until cancelled."""
        while True:
            await asyncio.sleep(self.pace.bookmark_every_ms / 1_000 / _LOOKS_PER_BOOKMARK)
            self.look()

    def look(self) -> None:
        """Start bookmarks where it was silent, and cut readers that take nothing."""
        now = asyncio.get_running_loop().time()
        for stream in tuple(self._streams):
            silent_s = now - stream.spoke_at
            if stream.is_speaking and silent_s > WRITE_WITHIN_S:
                hint = "it comes back by itself and is brought up to date"
                stream.end(Unavailable("client", f"it read nothing for {WRITE_WITHIN_S:.0f} s", hint))
            elif not stream.is_speaking and silent_s * 1_000 >= self.pace.bookmark_every_ms:
                stream.speak()

    async def _start_all(self) -> None:
        for number, stream in enumerate(tuple(self._streams), start=1):
            stream.speak()
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)


def _nothing() -> None:
    """Nothing is to be said aside."""


def _always() -> bool:
    """Whoever asks may hear."""
    return True


class Stream:
    """One stream's speaking side.

    Attributes:
        room: where it belongs.
        is_ended: this side ended it; the listener's cancellation means that and nothing else.
        spoke_at: when the stream began, or the last message was begun or taken, by the event loop's clock.
    """

    __slots__ = (
        "_aside",
        "_context",
        "_ended_by",
        "_listener",
        "_may_hear",
        "_position",
        "_reset_reason",
        "_speaker",
        "_told_at",
        "is_ended",
        "room",
        "spoke_at",
    )

    def __init__(
        self,
        room: Room,
        context: Context,
        held: Position | None,
        reset_reason: str,
        aside: Callable[[], bytes | None] = _nothing,
        *,
        may_hear: Callable[[], bool] = _always,
    ) -> None:
        """Take the side of the running task, which listens.

        Args:
            room: where the stream belongs.
            context: the call's.
            held: where the client stands; None holds nothing.
            reset_reason: why it has to forget that first; empty where it has not.
            aside: returns what is to be said before the way to the next position, if anything is.
            may_hear: whether the client's token still stands.
        """
        self._aside = aside
        self._may_hear = may_hear
        self.room = room
        self._context = context
        self._position = None if reset_reason else held
        self._reset_reason = reset_reason
        self._listener = asyncio.current_task()
        self._speaker: asyncio.Task[None] | None = None
        self.is_ended = False
        self._ended_by: Exception | None = None
        self.spoke_at = asyncio.get_running_loop().time()
        self._told_at = self.spoke_at

    @property
    def is_speaking(self) -> bool:
        """Whether there is something under way to the client."""
        return self._speaker is not None

    @property
    def _is_bookmark_due(self) -> bool:
        """Whether it is time for one although changes are said: it also tells over how long to come back."""
        since_s = asyncio.get_running_loop().time() - self._told_at
        return since_s * 1_000 >= self.room.pace.bookmark_every_ms

    def speak(self) -> None:
        """Start to say what the client does not know; nothing where that is under way, for it goes to the present."""
        if self._speaker is None and not self.is_ended:
            self._speaker = asyncio.create_task(self._speak())

    def end(self, error: Exception | None = None) -> None:
        """End the stream, with this refusal or in peace: the listener is cancelled, and asks for it with `answer`."""
        if not self.is_ended and self._listener is not None:
            self.is_ended, self._ended_by = True, error
            self._listener.cancel()

    def answer(self) -> None:
        """In the listener, which `end` cancelled: come back to life, and answer with what `end` was given.

        Raises:
            Exception: that.
        """
        if self._listener is not None:
            self._listener.uncancel()
        if self._ended_by is not None:
            raise self._ended_by from None

    async def fall_silent(self) -> None:
        """Stop speaking, and return when nothing is under way."""
        self.is_ended = True
        if self._speaker is not None:
            self._speaker.cancel()
            await asyncio.gather(self._speaker, return_exceptions=True)

    async def _speak(self) -> None:
        try:
            await self._catch_up()
        except Exception as error:  # noqa: BLE001 - the listener answers for it, unless the client is simply gone
            if not self._context.done():
                self.end(error)
        finally:
            self._speaker = None

    async def _catch_up(self) -> None:
        """Say all that leads to the present, or that nothing does; then, when draining, the last word.

        Raises:
            Forbidden: there is news, and the client's token stands no longer. So where a store was emptied and made
                anew, which knows no token, processes keep the rules that they have.
        """
        fan_out = self.room.served.fan_out
        said = False
        if self._reset_reason:
            await self._write(reset(self._reset_reason))
            self._reset_reason = ""
        while True:
            if self._position != fan_out.position and not self._may_hear():
                raise fallen()
            if self._position != fan_out.position or not said:
                aside = self._aside()
                if aside is not None:
                    await self._write(aside)
            if self._position != fan_out.position:
                await self._lead()
                said = True
            elif fan_out.is_draining:
                await self._write(drain(self.room.pace.reconnect_within_ms))
                self.end()
                return
            elif not said or self._is_bookmark_due:
                within_ms = return_within_ms(self.room.served.streams)
                self._told_at = asyncio.get_running_loop().time()
                await self._write(bookmark(fan_out.position, fan_out.ruleset_digest, within_ms))
                said = True
            else:
                return  # nothing is awaited between this look and the end: whoever comes later starts anew

    async def _lead(self) -> None:
        """Say what leads to the present position, or to one that was present when this began."""
        fan_out = self.room.served.fan_out
        parts = fan_out.parts_since(self._position) if self._position else fan_out.snapshot()
        if parts is None:
            await self._write(reset("the history became another one"))
            parts = fan_out.snapshot()
        for part in parts:
            await self._write(self.room.written.bytes_of(part, fan_out))
        self._position = parts[-1].position

    async def _write(self, message: bytes) -> None:
        clock = asyncio.get_running_loop().time
        self.spoke_at = clock()
        await self._context.write(message)
        self.spoke_at = clock()


class Written:
    """The messages of one environment's present revision, each written once."""

    def __init__(self) -> None:
        self._position: Position | None = None
        self._messages: dict[
            int, tuple[Part, bytes]
        ] = {}  # the part is kept with it, so that its identity stays its own
        self._size_bytes = 0

    def bytes_of(self, part: Part, fan_out: RecordFeed) -> bytes:
        """Return the part as a message; a part of an earlier revision is written anew, and kept nowhere."""
        if self._position != fan_out.position:
            self._position, self._messages, self._size_bytes = fan_out.position, {}, 0
        known = self._messages.get(id(part))
        if known is not None:
            return known[1]
        mark = fan_out.mark(part.position.revision)
        message = update(part, mark.at_ms if mark else 0)
        if part.position == self._position and self._size_bytes + len(message) <= WRITTEN_BYTES_MAX:
            self._messages[id(part)] = part, message
            self._size_bytes += len(message)
        return message
