"""Speaking: what is said on a stream, and that no wake-up is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.wire.delivery import read_response
from rollout_sdk.wire.messages import Bookmark, Drain, Message, Part, Reset
from rollout_sdk.wire.v1 import delivery_pb2
from rollout_server.api import speaking
from rollout_server.api.speaking import Pace, Room, Stream, Written, return_within_ms
from rollout_server.app.environment import Environment
from rollout_server.app.served import Served
from rollout_server.errors import Forbidden, Unavailable
from tests.reader import Reader
from tests.small_environment import flag, opened, put

PACE = Pace(hello_within_ms=1_000, bookmark_every_ms=600_000, reconnect_within_ms=7)


class Ear:
    """A call's context that hears; `before` runs while a message is under way."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.before: Callable[[Message], Awaitable[object]] | None = None
        self.is_done = False

    async def write(self, data: bytes) -> None:
        message = read_response(delivery_pb2.WatchResponse.FromString(data))
        assert message is not None
        self.heard.append(message)
        before, self.before = self.before, None
        if before is not None:
            await before(message)

    def done(self) -> bool:
        return self.is_done


@asynccontextmanager
async def room() -> AsyncIterator[tuple[Room, Environment]]:
    async with opened() as environment:
        served = Served(environment, renew_epoch_every_ms=0, instances_max=9)
        await served.fan_out.start()
        await put(environment, flag("checkout"))
        yield Room(served, PACE), environment


def stream_in(around: Room, ear: Any, held: Reader | None = None, reset_reason: str = "") -> Stream:
    return Stream(around, ear, held.held if held else None, reset_reason)


async def silent(stream: Stream) -> None:
    """Return when nothing is under way."""
    if stream._speaker is not None:
        await asyncio.wait({stream._speaker})


async def test_who_holds_nothing_gets_everything_and_then_only_news() -> None:
    async with room() as (around, environment):
        ear = Ear()
        stream = stream_in(around, ear)
        around.enter(stream)
        await silent(stream)
        await put(environment, flag("search"))
        stream.speak()
        await silent(stream)
        assert [(type(message), getattr(message, "snapshot", None)) for message in ear.heard] == [
            (Part, True),
            (Part, False),
        ]


async def test_who_writes_goes_on_before_anybody_hears() -> None:
    """The answer to a change does not wait for ten thousand streams that hear of it."""
    async with room() as (around, environment):
        ear = Ear()
        stream = stream_in(around, ear)
        around.enter(stream)
        telling = asyncio.create_task(around.keep_telling())
        await asyncio.sleep(0)
        await silent(stream)
        ear.heard.clear()
        told = asyncio.Event()

        async def tell(_message: Message) -> None:
            told.set()

        ear.before = tell
        await put(environment, flag("search"))
        assert ear.heard == []
        await asyncio.wait_for(told.wait(), 30)
        assert [type(message) for message in ear.heard] == [Part]
        telling.cancel()


async def test_no_news_is_said_by_a_bookmark() -> None:
    async with room() as (around, _):
        reader, ear = Reader(), Ear()
        reader.take(around.served.fan_out.snapshot())
        stream = stream_in(around, ear, reader)
        stream.speak()
        await silent(stream)
        assert [type(message) for message in ear.heard] == [Bookmark]


async def test_whoever_hears_news_all_the_time_is_told_over_how_long_to_come_back_too() -> None:
    """A journal that is never quiet leaves no silence for a bookmark; one is due nevertheless."""
    async with room() as (around, environment):
        ear = Ear()
        stream = stream_in(around, ear)
        around.enter(stream)
        await silent(stream)
        stream._told_at -= PACE.bookmark_every_ms / 1_000
        for number in range(2):
            await put(environment, flag(f"search-{number}"))
            stream.speak()
            await silent(stream)
        assert [type(message) for message in ear.heard] == [Part, Part, Bookmark, Part]


@pytest.mark.parametrize("during", [Part, Bookmark])
async def test_what_is_committed_while_something_is_said_is_said_next(during: type) -> None:
    """Whoever is speaking is not started again, so it must look again before it ends."""
    async with room() as (around, environment):
        reader, ear = Reader(), Ear()
        if during is Bookmark:
            reader.take(around.served.fan_out.snapshot())
        stream = stream_in(around, ear, reader if during is Bookmark else None)

        async def meanwhile(message: Message) -> None:
            assert isinstance(message, during)
            await put(environment, flag("search"))
            stream.speak()

        ear.before = meanwhile
        stream.speak()
        await silent(stream)
        last = ear.heard[-1]
        assert isinstance(last, Part)
        assert last.position == environment.position


async def test_a_history_that_became_another_one_is_reset() -> None:
    async with room() as (around, environment):
        ear = Ear()
        stream = stream_in(around, ear)
        stream.speak()
        await silent(stream)
        await environment.journal.renew_epoch()
        await around.served.fan_out.moved_from(around.served.fan_out.position)
        stream.speak()
        await silent(stream)
        assert [type(message) for message in ear.heard] == [Part, Reset, Part]


async def test_a_history_that_knows_no_token_is_told_to_nobody() -> None:
    """An emptied store, made anew by a server that starts: processes keep their last good rules."""
    async with room() as (around, environment):
        ear: Any = Ear()
        standing = [True, False]
        stream = Stream(around, ear, None, "", may_hear=lambda: standing.pop(0))
        stream.speak()
        await silent(stream)
        await environment.journal.renew_epoch()
        await around.served.fan_out.moved_from(around.served.fan_out.position)
        stream.speak()
        with pytest.raises(asyncio.CancelledError):
            await silent(stream)
        with pytest.raises(Forbidden, match="revoked"):
            stream.answer()
        assert [type(message) for message in ear.heard] == [Part]


async def test_a_reset_comes_before_the_snapshot() -> None:
    async with room() as (around, _):
        ear = Ear()
        stream = stream_in(around, ear, reset_reason="elsewhere")
        stream.speak()
        await silent(stream)
        assert [type(message) for message in ear.heard] == [Reset, Part]


async def test_a_drain_is_the_last_word_and_ends_the_listener_in_peace() -> None:
    async with room() as (around, _):
        ear = Ear()

        async def listen() -> str:
            stream = stream_in(around, ear)
            around.enter(stream)
            telling = asyncio.create_task(around.keep_telling())
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert stream.is_ended
                stream.answer()
                await telling
                return "in peace"
            raise AssertionError

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        around.served.fan_out.drain()
        assert await listening == "in peace"
        assert isinstance(ear.heard[-1], Drain)


async def test_a_bug_while_speaking_is_the_listeners_to_answer() -> None:
    """Unless the client is gone: then nobody is left to answer."""
    for is_gone in (False, True):
        async with room() as (around, _):
            ear = Ear()
            ear.is_done = is_gone

            async def fail(_: Message) -> None:
                raise ValueError("a bug")

            ear.before = fail
            stream = stream_in(around, ear)
            stream.speak()
            if is_gone:
                await silent(stream)
                assert not stream.is_ended
            else:
                with pytest.raises(asyncio.CancelledError):
                    await silent(stream)
                with pytest.raises(ValueError, match="a bug"):
                    stream.answer()


async def test_who_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that never reads holds one message, and that not for ever (promise 15)."""
    monkeypatch.setattr(speaking, "WRITE_WITHIN_S", 0.0)
    async with room() as (around, _):
        ear = Ear()

        async def never(_: Message) -> None:
            await asyncio.Event().wait()

        ear.before = never
        stream = stream_in(around, ear)
        around.enter(stream)
        around.pace = replace(PACE, bookmark_every_ms=100)
        company = asyncio.create_task(around.keep_company())
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        with pytest.raises(Unavailable, match="read nothing"):
            stream.answer()
        company.cancel()
        await stream.fall_silent()
        assert len(ear.heard) == 1


async def test_who_has_just_come_is_not_taken_for_stuck() -> None:
    """Between a stream's start and its first message nobody has had the time to read anything."""
    async with room() as (around, _):
        stream = stream_in(around, Ear())
        around.enter(stream)
        assert stream.is_speaking
        around.look()
        assert not stream.is_ended
        await silent(stream)
        around.look()
        assert not stream.is_speaking, "a bookmark has its time"


async def test_a_message_is_written_once_for_a_revision() -> None:
    """The same bytes for everybody; an earlier revision's parts are kept nowhere."""
    async with room() as (around, environment):
        written, fan_out = Written(), around.served.fan_out
        (old,) = fan_out.snapshot()
        assert written.bytes_of(old, fan_out) is written.bytes_of(old, fan_out)
        await put(environment, flag("search"))
        assert written.bytes_of(old, fan_out) is not written.bytes_of(old, fan_out)
        (new,) = fan_out.snapshot()
        assert written.bytes_of(new, fan_out) is written.bytes_of(new, fan_out)


async def test_what_is_kept_written_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "WRITTEN_BYTES_MAX", 0)
    async with room() as (around, _):
        written, fan_out = Written(), around.served.fan_out
        (part,) = fan_out.snapshot()
        assert written.bytes_of(part, fan_out) is not written.bytes_of(part, fan_out)
        assert written._messages == {}


@pytest.mark.parametrize(("streams", "within_ms"), [(0, 250), (625, 250), (10_000, 4_000), (10**6, 30_000)])
def test_the_more_there_are_the_longer_they_may_take_to_come_back(streams: int, within_ms: int) -> None:
    """A small fleet is back at once, a large one in good order."""
    assert return_within_ms(streams) == within_ms
