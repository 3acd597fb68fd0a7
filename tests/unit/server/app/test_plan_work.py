"""The same work, planned now or again."""

from __future__ import annotations

import pytest

from rollout_server.app.documents import read_documents
from rollout_server.app.plan_work import entry_of, plan_again, plan_documents
from rollout_server.domain.plan import Wish
from rollout_server.domain.waiting import change_id, parts
from rollout_server.errors import InvalidInput, NotFound
from tests.small_approvals import GROWS, ask, guarded, policy
from tests.small_environment import flag, opened, put


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
