"""The roster: whatever happened while upstream was away, it is told how everybody is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_sdk.wire.relaying import News
from rollout_server.app import roster
from rollout_server.app.instances import COUNTS_FOR_MS
from rollout_server.app.roster import Roster
from tests.doubles.fake_clock import FakeClock

HERE = Position("e1", 5, b"d5")
WORD = Acknowledgement(HERE, b"records")
TOKEN = "t-1"


@dataclass
class Relay:
    """A roster and one stream to upstream at a time."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.roster = Roster(self.clock, lambda: HERE, lambda _: None)
        self.told: AsyncIterator[News] = self.roster.tell()

    def join(self, name: str) -> object:
        self.clock.advance(1)
        return self.roster.join(Greeting(name, "1", (), "web", "h", 7), TOKEN)

    async def news(self) -> News:
        async with asyncio.timeout(10):
            return await anext(self.told)

    def reconnect(self) -> None:
        self.told = self.roster.tell()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "TELL_EVERY_S", 0)


def names(news: News) -> list[str]:
    return [one.greeting.instance_id for one in news.joined]


async def test_who_comes_is_told_once_and_then_by_number() -> None:
    """A word of many processes is said once, with their numbers."""
    relay = Relay()
    streams = [relay.join(name) for name in ("a", "b")]
    first = await relay.news()
    assert names(first) == ["a", "b"]
    for stream in streams:
        relay.roster.acknowledge(stream, WORD)
    second = await relay.news()
    assert (second.joined, second.acknowledged) == ((), ((WORD, tuple(one.number for one in first.joined)),))


async def test_goodbyes_and_deaths_are_told_apart() -> None:
    relay = Relay()
    leaves, dies = relay.join("leaves"), relay.join("dies")
    numbers = {one.greeting.instance_id: one.number for one in (await relay.news()).joined}
    relay.roster.leave(leaves)
    relay.roster.disconnect(leaves)
    relay.roster.disconnect(dies)
    news = await relay.news()
    assert (news.left, news.lost) == ((numbers["leaves"],), (numbers["dies"],))


async def test_an_upstream_that_comes_back_hears_how_everybody_is() -> None:
    """Also of goodbyes that it missed, and of who is out of reach."""
    relay = Relay()
    stays, leaves, dies = (relay.join(name) for name in ("stays", "leaves", "dies"))
    relay.roster.acknowledge(stays, WORD)
    await relay.news()
    relay.roster.leave(leaves)
    relay.roster.disconnect(dies)
    relay.clock.advance(500)
    relay.reconnect()
    news = await relay.news()
    by_name = {one.greeting.instance_id: one for one in news.joined}
    assert {name: one.away_ms for name, one in by_name.items()} == {"stays": None, "leaves": 500, "dies": 500}
    assert by_name["stays"].connected_ms_ago == 502
    assert news.acknowledged == ((WORD, (by_name["stays"].number,)),)
    assert (news.left, news.lost) == ((by_name["leaves"].number,), ())


async def test_whoever_comes_back_is_told_anew() -> None:
    """It may hold something else now; what it said before does not count any more."""
    relay = Relay()
    first = relay.join("a")
    relay.roster.acknowledge(first, WORD)
    number = (await relay.news()).joined[0].number
    relay.join("a")
    relay.roster.disconnect(first)
    news = await relay.news()
    assert [one.number for one in news.joined] != [number]
    assert (names(news), news.acknowledged, news.lost) == (["a"], (), ())


async def test_what_waits_is_bounded_by_who_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much happens while upstream is away; and each message is small."""
    monkeypatch.setattr(roster, "NEWS_MAX", 2)
    relay = Relay()
    streams = [relay.join(name) for name in "abc"]
    for _ in range(100):
        for stream in streams:
            relay.roster.acknowledge(stream, WORD)
    assert [names(await relay.news()), names(await relay.news())] == [["a", "b"], ["c"]]


async def test_a_goodbye_is_told_for_as_long_as_it_matters() -> None:
    """After an hour nobody counts the process any more, goodbye or not."""
    relay = Relay()
    relay.roster.leave(relay.join("a"))
    relay.clock.advance(COUNTS_FOR_MS + 1)
    relay.join("b")
    relay.reconnect()
    assert names(await relay.news()) == ["b"]


async def test_a_goodbye_that_came_by_another_way_is_told() -> None:
    """A relay that was cut off says it of a process that is out of reach here."""
    relay = Relay()
    stream = relay.join("a")
    number = (await relay.news()).joined[0].number
    relay.roster.disconnect(stream, is_out_of_sight=True)
    assert (await relay.news()).lost == (number,)
    relay.roster.strike(TOKEN, "a")
    news = await relay.news()
    assert (names(news), news.left) == (["a"], (news.joined[0].number,))
    assert [key for key, _ in relay.roster.goodbyes().items()] == [(TOKEN, "a")]
    relay.join("a")
    assert relay.roster.goodbyes() == {}


async def test_whoever_listens_can_be_rung_without_news() -> None:
    relay = Relay()
    relay.join("a")
    assert names(await relay.news()) == ["a"]
    assert relay.roster.is_told
    relay.roster.ring()
    assert await relay.news() == News()


async def test_a_clock_that_steps_makes_no_connection_older() -> None:
    """Since when it is connected is told by the clock that never steps; and behind which relay."""
    relay = Relay()
    relay.roster.join(Greeting("a", "1", (), "web", "h", 7), TOKEN, "eu", 100)
    relay.clock.step(-3_600_000)
    relay.clock.advance(10)
    (one,) = (await relay.news()).joined
    assert (one.connected_ms_ago, one.behind) == (110, "eu")
