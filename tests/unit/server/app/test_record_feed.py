"""The feed: one bell for everybody, and what a client that comes back is told."""

from __future__ import annotations

import asyncio

import pytest

from rollout_sdk.engine.model import FlagState, Position
from rollout_sdk.wire.codec import record_of_state
from rollout_server.app.record_feed import RecordFeed
from rollout_server.app.record_log import RecordLog
from rollout_server.errors import Unavailable
from tests.reader import Reader


def at(revision: int, epoch: str = "e1") -> Position:
    return Position(epoch, revision, f"{epoch}-{revision}".encode())


class Feed(RecordFeed):
    """One that a test moves."""

    def kill(self, revision: int) -> None:
        self._log.put(record_of_state(FlagState("a", killed=True), revision), revision)
        self._log.stand(at(revision), at_ms=revision)
        self._ring()

    def become(self, log: RecordLog) -> None:
        self._log = log
        self._ring()


async def test_one_revision_releases_everybody_who_waits() -> None:
    """However many streams there are, and whoever is behind does not wait at all."""
    feed = Feed(RecordLog(at(1)))
    waiting = [asyncio.create_task(feed.moved_from(at(1))) for _ in range(100)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    feed.kill(2)
    await asyncio.gather(*waiting)
    await feed.moved_from(at(1))


async def test_a_drain_wakes_everybody_a_last_time() -> None:
    """Also where nothing changed."""
    feed = Feed(RecordLog(at(1)))
    waiting = asyncio.create_task(feed.moved_from(at(1)))
    await asyncio.sleep(0)
    feed.drain()
    await waiting
    assert feed.is_draining


async def test_a_client_continues_from_where_it_stands() -> None:
    """It is led by what changed, to the digest that the feed names."""
    feed, reader = Feed(RecordLog(at(1))), Reader()
    feed.kill(2)
    reader.take(feed.snapshot())
    feed.kill(3)
    assert await feed.admit(reader.held) == ""
    assert reader.held is not None
    parts = feed.parts_since(reader.held)
    assert parts is not None
    reader.take(parts)
    assert (reader.held, reader.digest) == (feed.position, feed.ruleset_digest)
    mark = feed.mark(3)
    assert mark is not None
    assert mark.digest == at(3).digest


async def test_a_position_of_another_history_is_reset() -> None:
    """Whether the client comes with it, or the history changed under an open stream."""
    feed = Feed(RecordLog(at(1)))
    feed.kill(2)
    assert "epoch 'e2'" in await feed.admit(at(1, "e2"))
    assert await feed.admit(None) == ""
    feed.become(RecordLog(at(5, "e2")))
    assert feed.parts_since(at(2)) is None


async def test_a_client_that_is_ahead_comes_again() -> None:
    """It goes back for nobody."""
    feed = Feed(RecordLog(at(1)))
    feed.kill(2)
    with pytest.raises(Unavailable):
        await feed.admit(at(3))
