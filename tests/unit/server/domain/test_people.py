"""Who belongs to what."""

from __future__ import annotations

from rollout_server.domain.people import names_of
from tests.rollout_room import room
from tests.small_environment import document

MORE = document("Policy", "more", {"groups": {"leads": ["mia"], "managers": ["zoe"]}})


async def test_all_policies_together() -> None:
    """A person is its own name, and every group that lists it."""
    async with room(document("Policy", "people", {"groups": {"managers": ["mia", "kai"]}}), MORE) as stand:
        resources = stand.environment.state.resources.values()
        assert names_of(resources, "mia") == {"mia", "managers", "leads"}
        assert names_of(resources, "zoe") == {"zoe", "managers"}
        assert names_of(resources, " Zoe") == {" Zoe", "managers"}
        assert names_of(resources, "nobody") == {"nobody"}
