"""A rollout as it stands, journal and ticks together."""

from __future__ import annotations

import pytest

from rollout_server.app.freeze import Freeze, freeze
from rollout_server.app.rollout_view import RolloutView, rollout_view, run_now
from rollout_server.errors import NotFound
from tests.rollout_room import MIA, Room, documents, guarded, room
from tests.small_environment import document, put

FREEZE = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T09:00:00Z"}


async def view(stand: Room, target: str = "checkout") -> RolloutView:
    return await rollout_view(stand.environment, stand.instances, stand.runs.known, stand.others.get, target)


async def test_before_the_first_run_there_is_none() -> None:
    """It is found all the same."""
    async with room() as stand:
        found = await view(stand)
        assert (found.run, found.verdicts, found.candidate_units) == (None, (), 0)
        assert found.unstarted == "launch was never started"
        assert await run_now(stand.rollout(), stand.runs.known) is None
        with pytest.raises(NotFound):
            await view(stand, "nothing")


async def test_a_start_that_is_awaited_is_told() -> None:
    """Until it has come."""
    async with room(*documents(start="2099-01-01T00:00:00Z")) as stand:
        assert (await view(stand)).unstarted.startswith("launch starts by itself at 2099-01-01T00:00:00Z")
        await stand.start()
        assert (await view(stand)).unstarted == ""


async def test_soak_and_verdicts_are_of_the_last_tick() -> None:
    """The journal holds those of the last transition only."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        await stand.live(5, candidate=(100, 2), control=(400, 8))
        found = await view(stand)
        assert found.run is not None
        assert found.run.progress.soak_ms > stand.run().progress.soak_ms == 0
        assert dict(found.verdicts)["errors"].estimate is not None
        assert found.candidate_units > 0
        assert found.control_units == 4 * found.candidate_units
        assert found.fleet.connected == 1
        assert await run_now(stand.rollout(), stand.runs.known) == found.run


async def test_a_freeze_is_shown_with_its_end() -> None:
    """A frozen flag says when it may grow."""
    async with room() as stand:
        await put(stand.environment, document("Freeze", "f", FREEZE))
        found = await view(stand)
        assert found.is_frozen
        assert found.thaw_at_ms == 1_800_003_600_000


async def test_a_freeze_without_an_end_has_none() -> None:
    """Nobody knows when somebody thaws it."""
    async with room() as stand:
        await freeze(stand.environment, Freeze("f"), MIA)
        found = await view(stand)
        assert found.is_frozen
        assert found.thaw_at_ms is None
