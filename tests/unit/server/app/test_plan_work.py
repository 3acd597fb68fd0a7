"""The same work, planned now or again."""

from __future__ import annotations

import re

import pytest

from rollout_server.app.documents import read_documents
from rollout_server.app.fleet import NoFleet
from rollout_server.app.plan_work import entry_of, plan_again, plan_documents
from rollout_server.app.revert import Revert, revert
from rollout_server.domain.plan import Wish
from rollout_server.domain.waiting import change_id, parts
from rollout_server.errors import InvalidInput, NotFound, Refused
from tests.small_approvals import ANN, AUTHOR, GROWS, KAI, approve, ask, guarded, policy, serves_on
from tests.small_environment import MIA, cohort, document, flag, opened, put


async def test_a_stored_change_is_planned_as_its_author_planned_it() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        spec, _ = parts(environment.state.resources[change_id(1)])
        work = await plan_again(environment, spec, environment.state, environment.ruleset)
        assert work.planned.hash == spec.plan_hash
        assert [str(change.id) for change in work.writes] == ["flag/a"]


async def test_what_does_not_fit_is_refused_when_it_is_checked() -> None:
    async with opened() as environment:
        specs = read_documents([flag("a", never=["nowhere"])])
        work = await plan_documents(environment.state, environment.ruleset, Wish(specs.resources))
        with pytest.raises(InvalidInput):
            work.check()


async def test_an_entry_that_is_not_there_is_not_found() -> None:
    async with opened() as environment:
        await put(environment, flag("a"))
        assert (await entry_of(environment, 1)).revision == 1
        for revision in (0, 2):
            with pytest.raises(NotFound):
                await entry_of(environment, revision)


FREEZE = document(
    "Freeze", "holidays", {"from": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "except": ["leads"]}
)
LEADS = document("Policy", "people", {"groups": {"leads": [KAI.person]}})
ON = {"serve": "on"}
QUARTER = {"split": {"on": "25%", "off": "75%"}}


def of_freeze(error: Refused) -> bool:
    return error.rule == "freeze" and bool(
        re.search("frozen by freeze/.* until 2099-01-01 00:00 UTC.* flag/a", str(error))
    )


async def test_nothing_grows_while_it_is_frozen_and_everything_shrinks() -> None:
    """By edit, by its cohort, by being new; whom the freeze exempts may."""
    async with opened() as environment:
        await put(
            environment, flag("a", {"when": {"cohort": "beta"}, **ON}), cohort("beta", "u-1", "u-2"), FREEZE, LEADS
        )
        for grows in (flag("a", ON), cohort("beta", "u-1", "u-2", "u-3")):
            with pytest.raises(Refused) as refusal:
                await ask(environment, grows)
            assert of_freeze(refusal.value)
        with pytest.raises(Refused, match="flag/new"):
            await ask(environment, flag("new"))
        assert environment.position.revision == 1
        assert (await ask(environment, cohort("beta", "u-1"))).entry
        assert (await ask(environment, flag("a"))).entry
        assert (await ask(environment, flag("a", ON), by=KAI)).entry


async def test_a_freeze_by_tag_is_not_left_by_dropping_the_tag() -> None:
    """The tags that stand count; what has none of them is free."""
    async with opened() as environment:
        await put(
            environment,
            document("Freeze", "web", {"from": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "tags": ["web"]}),
            document("Flag", "a", {}, tags=["web"]),
            flag("b"),
        )
        for free in (flag("a", ON), flag("a"), document("Flag", "a", {}, tags=["other"])):
            with pytest.raises(Refused) as refusal:
                await ask(environment, free)
            assert of_freeze(refusal.value)
        with pytest.raises(Refused, match="flag/c"):
            await ask(environment, document("Flag", "c", {}, tags=["web"]))
        assert (await ask(environment, flag("b", ON))).entry
        assert (await ask(environment, document("Flag", "a", {}, tags=["web", "more"]))).entry


async def test_a_way_back_that_grows_waits_for_the_thaw() -> None:
    """And one that shrinks does not: an undo at three in the night."""
    async with opened() as environment:
        await put(environment, flag("a", ON))
        await ask(environment, flag("a", QUARTER))
        await put(environment, FREEZE)
        with pytest.raises(Refused) as refusal:
            await revert(environment, Revert(2), MIA, NoFleet())
        assert of_freeze(refusal.value)
    async with opened() as environment:
        await put(environment, flag("a"))
        await ask(environment, flag("a", ON))
        await put(environment, FREEZE)
        assert (await revert(environment, Revert(2), MIA, NoFleet())).entry


async def test_the_last_approval_waits_for_the_thaw_unless_somebody_is_exempt() -> None:
    """It is stored, listed and approved by others meanwhile; the approver is not told that it went through."""
    async with guarded(policy(count=2), FREEZE, LEADS) as environment:
        await ask(environment, flag("a", GROWS))
        await approve(environment, 1, KAI)
        with pytest.raises(Refused) as refusal:
            await approve(environment, 1, ANN)
        assert of_freeze(refusal.value)
        assert not serves_on(environment, "a")
        await ask(environment, flag("b", GROWS), by=KAI)
        await approve(environment, 2, ANN)
        await approve(environment, 2, AUTHOR)
        assert serves_on(environment, "b")
