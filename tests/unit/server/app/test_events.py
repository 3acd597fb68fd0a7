"""What happened, newest first."""

from __future__ import annotations

import pytest

from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.events import events
from rollout_server.errors import NotFound
from tests.rollout_room import MIA, documents, room
from tests.small_environment import document, put

SECOND = [
    document("Flag", "cart", {"rules": [{"id": "launch", "rollout": "cart-launch"}]}),
    document("Rollout", "cart-launch", {"flag": "cart", "from": "off", "to": "on", "pipeline": "quick"}),
]


async def test_notices_and_silent_entries_both() -> None:
    """A notice has its id and sentence; an entry without one is told by its action; documents are none."""
    async with room() as stand:
        await stand.start()
        await drive(stand.environment, Drive(Verb.PAUSE, "launch"), MIA, stand.runs.known)
        await put(stand.environment, *documents()[:2])
        found = await events(stand.environment, "checkout", 0, 0)
        assert [(one.kind, one.id) for one in found] == [("pause", ""), ("started", "launch/1/1")]
        assert "paused by mia" in found[0].sentence


async def test_steps_of_a_ramp_are_none() -> None:
    """Twenty in an hour say nothing to anybody; the entry of the stage does."""
    ramped = {"name": "canary", "share": "20%", "ramp": "10s", "soak": "10s"}
    async with room(*documents(ramped)) as stand:
        await stand.start()
        await stand.tick(5)
        assert (await stand.actions()).count("advance") > 2
        assert [one.kind for one in await events(stand.environment, "", 0, 0)] == ["started"]


async def test_of_one_rollout_or_of_all() -> None:
    """A page goes on below a revision."""
    async with room(*documents(), *SECOND) as stand:
        await stand.start("launch")
        await stand.start("cart-launch")
        everything = await events(stand.environment, "", 0, 0)
        assert [one.rollout for one in everything] == ["cart-launch", "launch"]
        assert [one.rollout for one in await events(stand.environment, "cart", 0, 0)] == ["cart-launch"]
        assert (await events(stand.environment, "", 0, 1)) == everything[:1]
        assert (await events(stand.environment, "", everything[0].revision, 9)) == everything[1:]
        with pytest.raises(NotFound):
            await events(stand.environment, "nothing", 0, 1)
