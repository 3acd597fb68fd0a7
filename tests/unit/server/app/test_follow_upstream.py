"""Following: upstream may say, or fail to say, whatever it likes; what is served stays, and it is dialled again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rollout_sdk.engine.model import FlagState, Position
from rollout_sdk.wire.codec import record_of_state
from rollout_sdk.wire.messages import Bookmark, Drain, Part, Reset
from rollout_sdk.wire.records import RulesetDigest
from rollout_sdk.wire.relaying import Tokens, Update, write_relay_file
from rollout_sdk.wire.snapshot import pack
from rollout_server.app import follow_upstream
from rollout_server.app.follow_upstream import FollowUpstream, recall_relayed
from rollout_server.app.relayed import Relayed
from rollout_server.errors import Corrupt, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_shelf import MemoryShelf
from tests.doubles.scripted_upstream import ScriptedUpstream

HERE = Position("e1", 5, b"d5")
RECORD = record_of_state(FlagState("a", killed=True), 5)
DIGEST = RulesetDigest().add(RECORD.data).to_bytes()
TOKENS = Tokens("production", ())


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_upstream, "RETURN_WITHIN_MAX_MS", 1)


def whole(position: Position = HERE) -> Update:
    return Update(Part(snapshot=True, base_revision=0, position=position, ruleset_digest=DIGEST, records=(RECORD,)), 42)


@asynccontextmanager
async def followed() -> AsyncIterator[tuple[Relayed, ScriptedUpstream]]:
    relayed, upstream = Relayed("production", FakeClock(), 10), ScriptedUpstream()
    task = asyncio.create_task(FollowUpstream(relayed, upstream, "eu").keep_following())
    try:
        async with asyncio.timeout(20):
            yield relayed, upstream
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert upstream.is_closed


async def test_it_holds_what_it_hears_and_says_so_when_it_comes_back() -> None:
    """Parts are put in force when the last one came, by when they were committed."""
    async with followed() as (relayed, upstream):
        first = Update(Part(True, 0, HERE, DIGEST, more=True), 42)
        upstream.say(TOKENS, first, whole())
        await relayed.fan_out.moved_from(Position("", 0))
        assert relayed.fan_out.held == HERE
        mark = relayed.fan_out.mark(5)
        assert mark is not None
        assert mark.at_ms == 42
        assert relayed.is_following
        upstream.say(Bookmark(HERE, DIGEST), Drain(0))
        await upstream.greeted(2)
        assert upstream.hellos == [("eu", None), ("eu", HERE)]


async def test_what_was_heard_is_served_while_upstream_is_away() -> None:
    """It is dialled again and again."""
    async with followed() as (relayed, upstream):
        upstream.say(TOKENS, whole())
        await relayed.fan_out.moved_from(Position("", 0))
        for _ in range(5):
            upstream.say(Unavailable("upstream", "away"))
        await upstream.greeted(6)
        assert (relayed.fan_out.held, relayed.is_following) == (HERE, False)


async def test_half_an_update_is_forgotten_with_its_stream() -> None:
    async with followed() as (relayed, upstream):
        half = Update(Part(True, 0, HERE, DIGEST, records=(RECORD,), more=True), 42)
        upstream.say(TOKENS, half, Unavailable("upstream", "away"))
        await upstream.greeted(2)
        upstream.say(TOKENS, whole())
        await relayed.fan_out.moved_from(Position("", 0))
        assert relayed.fan_out.ruleset_digest == DIGEST


@pytest.mark.parametrize("wrong", [Bookmark(HERE, b"another"), Update(Part(False, 9, HERE, b"another"), 1)])
async def test_a_disagreement_is_mended_by_a_snapshot(wrong: Bookmark | Update) -> None:
    """It serves what it has until the snapshot is whole."""
    async with followed() as (relayed, upstream):
        upstream.say(TOKENS, whole(), wrong)
        await upstream.greeted(2)
        assert relayed.fan_out.held == HERE
        assert upstream.hellos[-1] == ("eu", None)


async def test_another_epoch_is_followed() -> None:
    async with followed() as (relayed, upstream):
        upstream.say(TOKENS, whole(), Reset("restored"), whole(Position("e2", 3, b"d3")))
        await relayed.fan_out.moved_from(Position("", 0))
        await relayed.fan_out.moved_from(HERE)
        assert relayed.fan_out.position.epoch == "e2"


async def test_an_upstream_of_another_environment_is_not_followed() -> None:
    """Nothing that it says is served."""
    async with followed() as (relayed, upstream):
        upstream.say(Tokens("staging", ()))
        await upstream.greeted(2)
        assert not relayed.knows_tokens


async def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_upstream, "SILENCE_S", 0.01)
    async with followed() as (_, upstream):
        await upstream.greeted(3)


async def test_what_was_kept_is_served_again() -> None:
    """Ruleset, tokens, and where both stood."""
    relayed = Relayed("production", FakeClock(), 10)
    assert await recall_relayed(relayed, MemoryShelf()) is None
    shelf = MemoryShelf(write_relay_file(pack(HERE, (RECORD,), ()), TOKENS, 42))
    assert await recall_relayed(relayed, shelf) == HERE
    assert relayed.knows_tokens


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        write_relay_file(b"no ruleset", TOKENS, 1),
        write_relay_file(pack(HERE, (RECORD,), ()), Tokens("staging", ()), 1),
    ],
)
async def test_what_was_kept_and_cannot_be_read_is_said(data: bytes) -> None:
    """Nothing is served of it, and whoever starts the relay hears what to do."""
    relayed = Relayed("production", FakeClock(), 10)
    with pytest.raises(Corrupt) as caught:
        await recall_relayed(relayed, MemoryShelf(data))
    assert caught.value.hint
    assert relayed.fan_out.held is None or not relayed.knows_tokens
