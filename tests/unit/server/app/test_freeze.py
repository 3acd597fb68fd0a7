"""Freeze and thaw by hand."""

from __future__ import annotations

import pytest

from rollout_server.app.freeze import FOR_EVER, Freeze, Thaw, freeze, thaw
from rollout_server.app.intent import Intent
from rollout_server.domain.frozen import is_frozen
from rollout_server.domain.rollouts import FreezeSpec
from rollout_server.errors import InvalidInput, NotFound, Refused
from tests.rollout_room import MIA, Room, room
from tests.small_environment import document, put

WEEKLY = document("Freeze", "weekends", {"from": "FRI 16:00", "to": "MON 08:00", "zone": "Asia/Seoul"})


def frozen(stand: Room) -> bool:
    return is_frozen(stand.environment.state.resources, "checkout", stand.clock.now_ms())


async def test_a_freeze_holds_from_now_on_and_a_thaw_ends_it() -> None:
    """The freeze stays, with its end: whose turn it is after it is read off it."""
    async with room() as stand:
        made = await freeze(stand.environment, Freeze(tags=("web",), stagger_ms=60_000), MIA)
        assert isinstance(made.freeze.spec, FreezeSpec)
        assert made.freeze.spec.end == FOR_EVER
        assert frozen(stand)
        stand.clock.advance(5_000)
        key = made.freeze.metadata.key
        done = await thaw(stand.environment, Thaw(key), MIA)
        assert done.entry is not None
        assert not frozen(stand)
        assert (await thaw(stand.environment, Thaw(key), MIA)).entry is None
        assert isinstance(done.freeze.spec, FreezeSpec)
        assert done.freeze.spec.stagger_ms == 60_000


async def test_a_freeze_for_a_while_ends_by_itself() -> None:
    """Its length is counted from now."""
    async with room() as stand:
        await freeze(stand.environment, Freeze("lunch", for_ms=60_000), MIA)
        stand.clock.advance(59_999)
        assert frozen(stand)
        stand.clock.advance(1)
        assert not frozen(stand)


async def test_a_tag_that_no_flag_has_and_a_name_that_nobody_has_are_told() -> None:
    """Of what was typed in a hurry; it is in force all the same."""
    async with room() as stand:
        made = await freeze(stand.environment, Freeze("fine", tags=("web",), exempt=("managers", "zoe@x.org")), MIA)
        assert made.surprises == ()
        made = await freeze(stand.environment, Freeze("typo", tags=("wbe",), exempt=("manager",)), MIA)
        assert [one.rpartition("; ")[2] for one in made.surprises] == [
            'did you mean "web"?',
            'did you mean "managers"?',
        ]
        assert made.entry is not None


async def test_what_is_no_freeze_is_refused() -> None:
    """A key that is taken, one that is none, one that nobody knows, and one that comes again every week."""
    async with room() as stand:
        await put(stand.environment, WEEKLY)
        with pytest.raises(Refused, match="already"):
            await freeze(stand.environment, Freeze("weekends"), MIA)
        with pytest.raises(InvalidInput):
            await freeze(stand.environment, Freeze("Not A Key"), MIA)
        with pytest.raises(NotFound) as refusal:
            await thaw(stand.environment, Thaw("weekend"), MIA)
        assert refusal.value.hint == "did you mean weekends?"
        with pytest.raises(Refused, match="every week"):
            await thaw(stand.environment, Thaw("weekends"), MIA)


async def test_a_repeat_freezes_once() -> None:
    """Also where a second has passed, and the key would be another one."""
    async with room() as stand:
        first = await freeze(stand.environment, Freeze(intent=Intent("k")), MIA)
        stand.clock.advance(2_000)
        second = await freeze(stand.environment, Freeze(intent=Intent("k")), MIA)
        assert first.entry == second.entry
        assert second.freeze.metadata.key == first.freeze.metadata.key
