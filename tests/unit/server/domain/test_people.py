"""Who belongs to what."""

from __future__ import annotations

from rollout_server.domain.people import names_of, strangers_told
from rollout_server.domain.resources import Kind, Metadata, Resource, TokenSpec, TokenStatus
from tests import small_rollouts
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


def test_names_that_are_nobodys_are_told_with_what_was_meant() -> None:
    """Groups, their people, whoever answers for a token, and addresses are somebody's."""
    token = Resource(Kind.TOKEN, Metadata("t"), TokenSpec("0" * 64, "author", "Tom Lee", 1, 2), TokenStatus())
    resources = [*small_rollouts.STATE.resources.values(), token]
    assert strangers_told(resources, ("managers", "mia", " MIA", "tom lee", "zoe@example.com")) == ()
    assert strangers_told(resources, ("manager", "zebra")) == (
        '"manager", which is no group of a policy and nobody who is known here; did you mean "managers"?',
        '"zebra", which is no group of a policy and nobody who is known here; check the name',
    )
    assert "<U+202E>" in strangers_told(resources, ("man\u202eagers",))[0]
