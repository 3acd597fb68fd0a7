"""What a relay serves is what its upstream has: record by record, byte by byte, or nothing changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Resync
from rollout_sdk.wire.relaying import TokenHash, Tokens
from rollout_sdk.wire.snapshot import pack, unpack
from rollout_server.app.environment import Environment
from rollout_server.app.fan_out import FanOut
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.relayed import Relayed, RelayedFeed
from rollout_server.app.tokens import authenticate, is_standing
from rollout_server.domain.tokens import token_hash
from rollout_server.errors import Forbidden, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.reader import Reader
from tests.small_environment import MIA, cohort, delete, flag, flag_id, opened, put

SECRET = f"rg_0a1b2c3d_{'x' * 43}"


async def following(environment: Environment) -> FanOut:
    fan_out = FanOut(environment)
    await fan_out.start()
    return fan_out


def catch_up(feed: RelayedFeed, upstream: FanOut) -> None:
    parts = upstream.parts_since(feed.held) if feed.held else upstream.snapshot()
    assert parts is not None
    feed.take(parts, 42)


async def test_a_relay_leads_its_readers_where_upstream_stands() -> None:
    """Through flags, cohorts, kills and deletions, by deltas; it ends at the same position and digest."""
    async with opened() as environment:
        upstream, feed, reader = await following(environment), RelayedFeed(), Reader()
        await put(environment, flag("a"), flag("b"), cohort("c", "u-1", "u-2"))
        catch_up(feed, upstream)
        reader.take(feed.snapshot())
        await kill(environment, Kill("a"), MIA)
        catch_up(feed, upstream)
        behind = reader.held
        await unkill(environment, Unkill("a"), MIA)
        await put(environment, cohort("c", "u-1", "u-3"))
        await delete(environment, flag_id("b"))
        catch_up(feed, upstream)
        assert behind is not None
        parts = feed.parts_since(behind)
        assert parts is not None
        assert not parts[0].snapshot
        reader.take(parts)
        assert (reader.held, reader.digest) == (environment.position, upstream.ruleset_digest)
        assert feed.agrees(environment.position, upstream.ruleset_digest)
        whole = Reader()
        whole.take(feed.snapshot())
        assert whole.records == reader.records
        assert whole.chunks.keys() <= reader.chunks.keys()


async def test_what_does_not_follow_changes_nothing() -> None:
    """A delta from elsewhere, or records that are not those that upstream says."""
    async with opened() as environment:
        upstream, feed = await following(environment), RelayedFeed()
        await put(environment, flag("a"))
        whole = upstream.snapshot()
        with pytest.raises(Resync):
            feed.take([replace(each, ruleset_digest=b"another") for each in whole], 1)
        assert feed.held is None
        feed.take(whole, 1)
        at = environment.position
        await put(environment, flag("b"))
        delta = upstream.parts_since(at)
        assert delta is not None
        for wrong in (
            [replace(each, base_revision=at.revision + 1) for each in delta],
            [replace(each, position=replace(each.position, epoch="e9")) for each in delta],
            [replace(each, records=()) for each in delta],
        ):
            with pytest.raises(Resync):
                feed.take(wrong, 1)
        assert (feed.held, feed.mark(at.revision)) != (None, None)
        assert feed.position == at


async def test_another_epoch_takes_the_place_of_the_one_before() -> None:
    """Whoever stood in the old one is told so."""
    async with opened() as environment:
        upstream, feed = await following(environment), RelayedFeed()
        await put(environment, flag("a"))
        catch_up(feed, upstream)
        before = feed.position
        feed.take([replace(each, position=replace(each.position, epoch="e2")) for each in upstream.snapshot()], 1)
        assert feed.position.epoch == "e2"
        assert feed.parts_since(before) is None
        assert "epoch" in await feed.admit(before)


async def test_a_relay_goes_on_from_its_file() -> None:
    """At the same position, so that its readers need nothing."""
    async with opened() as environment:
        upstream, feed, again = await following(environment), RelayedFeed(), RelayedFeed()
        await put(environment, flag("a"), cohort("c", "u-1"))
        catch_up(feed, upstream)
        chunks, records = feed.everything()
        again.recall(unpack(pack(feed.position, records, chunks)), 42)
        assert again.agrees(feed.position, feed.ruleset_digest)
        assert await again.admit(feed.position) == ""
        assert again.parts_since(feed.position) == ()


async def test_a_client_that_is_ahead_or_a_relay_that_knows_nothing_waits() -> None:
    """Nobody is led back, and nobody is served an empty ruleset."""
    async with opened() as environment:
        upstream, feed = await following(environment), RelayedFeed()
        with pytest.raises(Unavailable):
            await feed.admit(None)
        await put(environment, flag("a"))
        catch_up(feed, upstream)
        with pytest.raises(Unavailable, match="relay stands at"):
            await feed.admit(Position(feed.position.epoch, feed.position.revision + 1, b"d"))


def test_only_tokens_that_upstream_named_open_a_relay() -> None:
    """From the moment they are named until they are not, or expire."""
    clock = FakeClock()
    relayed = Relayed("production", clock, 10)
    named = Tokens("production", (TokenHash("0a1b2c3d", token_hash(SECRET), clock.now_ms() + 10),))
    with pytest.raises(Forbidden):
        authenticate([relayed], SECRET)
    relayed.admit(named)
    environment, actor = authenticate([relayed], SECRET)
    assert (environment, actor.token_id, actor.role.value) == (relayed, "0a1b2c3d", "sdk")
    with pytest.raises(Forbidden):
        authenticate([relayed], SECRET[:-1] + "y")
    relayed.admit(Tokens("production", ()))
    assert not is_standing(relayed, "0a1b2c3d")
    relayed.admit(named)
    clock.advance(10)
    assert not is_standing(relayed, "0a1b2c3d")
