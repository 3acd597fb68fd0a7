"""One attempt: taken, or why not; whatever the channel does."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.app import hand_over
from rollout_server.app.hand_over import AT_ONCE_MAX, HandOver
from rollout_server.app.notification_book import Message
from rollout_server.errors import Refused, RolloutError, Unavailable
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.recording_channel import RecordingChannel
from tests.small_environment import document, opened, put
from tests.small_notifications import message

MESSAGE = Message(message(), "team")


async def attempt(channel: RecordingChannel, *, times: int = 1, key: str = "team") -> list[RolloutError | None]:
    async with opened(MemoryJournal()) as environment:
        await put(environment, document("Channel", key, {"command": ["tell"]}))
        it = HandOver(environment, lambda _: channel)
        return list(await asyncio.gather(*(it.attempt(MESSAGE) for _ in range(times))))


async def test_what_is_taken_is_nothing_to_tell() -> None:
    channel = RecordingChannel()
    assert await attempt(channel) == [None]
    assert channel.delivered == [MESSAGE.notification]


async def test_what_the_channel_says_is_handed_on() -> None:
    away = Unavailable("webhook", "no answer")
    assert await attempt(RecordingChannel(away)) == [away]


async def test_a_channel_that_is_gone_is_no_use_trying() -> None:
    (error,) = await attempt(RecordingChannel(), key="other")
    assert isinstance(error, Refused)
    assert "there is no channel team here any more" in str(error)


async def test_a_bug_and_a_channel_that_hangs_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither silences the others."""
    (bug,) = await attempt(RecordingChannel(ZeroDivisionError()))
    monkeypatch.setattr(hand_over, "ATTEMPT_S", 0.0)
    (silence,) = await attempt(RecordingChannel(is_stuck=True))
    assert isinstance(bug, Unavailable)
    assert isinstance(silence, Unavailable)
    assert "no answer in" in str(silence)


async def test_only_so_many_are_under_way_at_once() -> None:
    channel = RecordingChannel()
    assert await attempt(channel, times=3 * AT_ONCE_MAX) == [None] * (3 * AT_ONCE_MAX)
    assert channel.most_under_way == AT_ONCE_MAX
