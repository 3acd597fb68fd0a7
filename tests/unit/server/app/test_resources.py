"""Looking at resources, now and then."""

from __future__ import annotations

import json

import pytest

from rollout_server.app.kill import Kill, kill
from rollout_server.app.moments import At
from rollout_server.app.resources import get_resource, list_resources
from rollout_server.app.tokens import CreateToken, create_token
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import NotFound
from tests.small_environment import MIA, cohort, cohort_id, flag, flag_id, opened, put


async def test_a_resource_is_shown_as_its_document_and_its_status() -> None:
    """Spec and status apart, version and dependents beside them."""
    async with opened() as environment:
        await put(
            environment,
            cohort("beta", "u-1"),
            cohort("wide", when={"cohort": "beta"}),
            flag("parent"),
            flag(
                "child", {"when": {"cohort": "beta"}, "serve": "on"}, requires=[{"flag": "parent", "variants": ["on"]}]
            ),
            flag("other", never=["beta"]),
        )
        await kill(environment, Kill("parent"), MIA)
        view, position = await get_resource(environment, flag_id("parent"))
        assert json.loads(view.json) == {"kind": "Flag", "metadata": {"key": "parent"}}
        assert json.loads(view.status_json)["killed"] is True
        assert (view.resource.version, position.revision) == (2, 2)
        assert view.dependents == ("flag/child",)
        view, _ = await get_resource(environment, cohort_id("beta"))
        assert view.dependents == ("cohort/wide", "flag/child", "flag/other")


async def test_the_past_is_shown_as_it_was() -> None:
    """At a revision, a resource is what it was then, and what came later is not there."""
    async with opened() as environment:
        await put(environment, flag("a"))
        await put(environment, flag("a", {"serve": "on"}), flag("b"))
        view, position = await get_resource(environment, flag_id("a"), At(revision=1))
        assert json.loads(view.json).get("spec") is None
        assert position.revision == 1
        with pytest.raises(NotFound):
            await get_resource(environment, flag_id("b"), At(revision=1))
        assert len((await list_resources(environment, None, At(revision=1))).resources) == 1


async def test_lists_are_ordered_and_hold_no_tokens() -> None:
    """By kind and key; tokens are nobody's to read here, by list or by name."""
    async with opened() as environment:
        made = await create_token(environment, CreateToken("sdk", "shop"), MIA)
        await put(environment, flag("b"), flag("a"), cohort("z", "u-1"))
        everything = await list_resources(environment)
        assert [str(view.resource.id) for view in everything.resources] == ["cohort/z", "flag/a", "flag/b"]
        flags = await list_resources(environment, Kind.FLAG)
        assert [view.resource.metadata.key for view in flags.resources] == ["a", "b"]
        assert (await list_resources(environment, Kind.TOKEN)).resources == ()
        with pytest.raises(NotFound):
            await get_resource(environment, ResourceId(Kind.TOKEN, made.token.id))
