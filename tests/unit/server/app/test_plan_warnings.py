"""What a plan warns of, and `apply` would do all the same."""

from __future__ import annotations

from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, kill
from rollout_server.app.plan import PlanQuestion, plan
from tests.small_environment import MIA, document, flag, opened, put
from tests.small_rollouts import STAGE

QUARTER = {"split": {"on": "25%", "off": "75%"}}
HALF = {"split": {"on": "50%", "off": "50%"}}
ALWAYS = {"from": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}


async def warnings(environment: Environment, *documents: Document) -> tuple[str, ...]:
    return (await plan(environment, PlanQuestion(documents), NoFleet())).warnings


async def test_surprises_are_warned_of() -> None:
    """A deletion, an edit of a killed flag and an edit of an expired one are said before they happen."""
    async with opened() as environment:
        await put(environment, flag("gone"), flag("dead"))
        await kill(environment, Kill("dead"), MIA)
        documents = flag("dead", QUARTER), document("Flag", "old", {}, expires="2020-01-01")
        result = await plan(environment, PlanQuestion(documents, prune=True), NoFleet())
        assert [warning.split(" ")[0] for warning in result.warnings] == ["flag/dead", "flag/gone", "flag/old"]


async def test_who_plans_what_is_frozen_is_told() -> None:
    """Before it is refused; what shrinks is not mentioned."""
    freeze = document("Freeze", "holidays", ALWAYS)
    async with opened() as environment:
        await put(environment, flag("a", QUARTER), flag("b", QUARTER), freeze)
        told = await warnings(environment, flag("a", HALF), flag("b"))
        assert [one.split(":")[0] for one in told] == ["flag/a is frozen"]


async def test_a_freeze_that_exempts_a_stranger_is_told_of() -> None:
    """A mistyped group would be taken for a person whom nobody is; people, addresses and groups are not mentioned."""
    async with opened() as environment:
        people = document("Policy", "people", {"groups": {"release-managers": ["mia", "kai@example.com"]}})
        await put(environment, people)
        fine = document("Freeze", "fine", {**ALWAYS, "except": ["release-managers", " Mia", "zoe@example.com"]})
        typo = document("Freeze", "typo", {**ALWAYS, "except": ["relase-managers", "incident-lead"]})
        assert await warnings(environment, fine) == ()
        first, second = await warnings(environment, fine, typo)
        assert first == (
            'freeze/typo exempts "relase-managers", which is no group of a policy and nobody who is known here; '
            'did you mean "release-managers"?'
        )
        assert second.startswith('freeze/typo exempts "incident-lead", ')
        new = document("Policy", "more", {"groups": {"relase-managers": ["zoe"], "incident-lead": ["zoe"]}})
        assert await warnings(environment, typo, new) == ()
        await put(environment, typo)
        assert await warnings(environment, typo) == (), "what stays as it is was told of before"


async def test_a_rollout_that_waits_for_where_it_is_itself_is_told_of() -> None:
    """One file for two environments: in the earlier one it would wait for ever."""
    async with opened() as environment:
        launch = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}
        rest = flag("checkout", {"rollout": "launch"}), document("Pipeline", "careful", {"stages": [STAGE]})

        def waiting(name: str) -> Document:
            return document("Rollout", "launch", {**launch, "after": {"environment": name}})

        (told,) = await warnings(environment, *rest, waiting(environment.name))
        assert told.startswith("rollout/launch waits for a rollout of the same flag to complete in ")
        assert await warnings(environment, *rest, waiting("another")) == ()
