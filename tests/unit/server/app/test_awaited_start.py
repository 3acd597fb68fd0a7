"""What the schedule starts, and what keeps it from it."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.app.awaited_start import awaited_start
from rollout_server.app.drive_rollout import Drive, Verb, drive
from tests.rollout_room import MIA, Room, documents, room
from tests.small_environment import document, flag, put

DUE = "2027-01-01T00:00:00Z"
FREEZE = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T09:00:00Z"}


def awaited(stand: Room) -> str:
    """Of the one rollout there is, now."""
    now_ms = stand.environment.clock.now_ms()
    return awaited_start(stand.environment.state.resources, stand.rollout(), stand.others.get, now_ms)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ""),
        (
            {"start": "2099-01-01T09:00:00+09:00"},
            "launch starts by itself at 2099-01-01T09:00:00+09:00, and moves checkout to on",
        ),
        ({"start": DUE}, f"launch was to start at {DUE}"),
        (
            {"start": DUE, "after": {"environment": "staging"}},
            f"launch was to start at {DUE}, and waits: there is no environment staging on this server to wait for",
        ),
    ],
)
async def test_a_moment_to_come_and_one_that_is_over(more: dict[str, Any], told: str) -> None:
    """When, and what it moves; or what it waits for since."""
    async with room(*documents(**more)) as stand:
        assert awaited(stand) == told


async def test_a_freeze_is_named_with_its_end() -> None:
    """It is what on-call has to know before the thaw: what begins with it."""
    async with room(*documents(start=DUE)) as stand:
        await put(stand.environment, document("Freeze", "f", FREEZE))
        told = "a freeze is in force (freeze/f until 2027-01-15 09:00 UTC)"
        assert awaited(stand) == f"launch was to start at {DUE}, and waits: {told}"


async def test_all_that_it_waits_for_is_told() -> None:
    """Whoever mends one reason must not be surprised by the next."""
    async with room(*documents(start=DUE, after={"environment": "staging"})) as stand:
        await put(stand.environment, document("Freeze", "f", FREEZE))
        assert awaited(stand).endswith(
            "staging on this server to wait for; a freeze is in force (freeze/f until 2027-01-15 09:00 UTC)"
        )


async def test_whose_turn_comes_later_is_told_when() -> None:
    """After the thaw one begins at a time; this one is behind another."""
    async with room(*documents(start=DUE)) as stand:
        first = {"flag": "cart", "from": "off", "to": "on", "pipeline": "quick", "start": "2026-12-31T00:00:00Z"}
        over = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T07:30:00Z", "stagger": "1h"}
        await put(stand.environment, flag("cart", {"rollout": "earlier"}), document("Rollout", "earlier", first))
        await put(stand.environment, document("Freeze", "f", over))
        assert awaited(stand) == (
            f"launch was to start at {DUE}, and waits: "
            "others of the freeze that is over go first, its turn comes at 2027-01-15 08:30 UTC"
        )


async def test_what_was_started_or_cancelled_is_awaited_no_more() -> None:
    """Once for each moment that the file gives."""
    async with room(*documents(start="2099-01-01T00:00:00Z")) as stand:
        await drive(stand.environment, Drive(Verb.CANCEL, "launch"), MIA, stand.runs.known)
        assert awaited(stand) == ""
