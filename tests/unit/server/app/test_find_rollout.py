"""A rollout by its own key, or by its flag's."""

from __future__ import annotations

import pytest

from rollout_server.app.find_rollout import find_rollout, is_under_way, rollouts_of
from rollout_server.errors import NotFound, Refused
from tests.rollout_room import documents, room
from tests.small_environment import document

SECOND = document("Rollout", "again", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick"})


async def test_a_flag_will_do() -> None:
    """Its one rollout is meant; the prefix says which is which."""
    async with room() as stand:
        resources = stand.environment.state.resources
        for target in ("launch", "checkout", "rollout/launch", "flag/checkout"):
            assert find_rollout(resources, target).metadata.key == "launch"
        for target in ("flag/launch", "rollout/checkout", "chekout", ""):
            with pytest.raises(NotFound):
                find_rollout(resources, target)


async def test_a_near_miss_suggests() -> None:
    """Rollouts and their flags both."""
    async with room() as stand:
        with pytest.raises(NotFound) as refusal:
            find_rollout(stand.environment.state.resources, "chekout")
        assert refusal.value.hint == "did you mean checkout?"


async def test_of_several_the_one_under_way_is_meant() -> None:
    """Where none is, the rollout itself must be named."""
    async with room(*documents(), SECOND) as stand:
        resources = stand.environment.state.resources
        assert [one.metadata.key for one in rollouts_of(resources, "checkout")] == ["again", "launch"]
        with pytest.raises(Refused, match="again, launch"):
            find_rollout(resources, "checkout")
        await stand.start("launch")
        found = find_rollout(stand.environment.state.resources, "checkout")
        assert found.metadata.key == "launch"
        assert is_under_way(found)
