"""One person's consent, and what the last one carries out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout_server.app.end_changes import END
from rollout_server.app.kill import Kill, kill
from rollout_server.domain.changes import ChangeState
from rollout_server.errors import Forbidden, NotFound, Refused
from tests.doubles.fake_clock import FakeClock
from tests.small_approvals import (
    ADMIN,
    ANN,
    AUTHOR,
    GROWS,
    KAI,
    MIA_APPROVES,
    STRANGER,
    approve,
    ask,
    guarded,
    policy,
    reject,
    serves_on,
)
from tests.small_environment import cohort, document, flag


async def test_the_last_approval_applies_in_one_entry() -> None:
    """The entry names author, approvers and change, and holds what was planned."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS), reason="everybody is ready")
        first = await approve(environment, 1, KAI, "looks right")
        assert first.change.status.state is ChangeState.WAITING
        assert [lacking.people for lacking in first.change.missing] == [(ANN.person,)]
        assert not serves_on(environment, "a")
        last = await approve(environment, 1, ANN)
        assert last.entry is not None
        assert last.change.status.state is ChangeState.APPLIED
        assert last.change.ended_revision == last.entry.revision
        assert [given.person for given in last.change.status.approvals] == [KAI.person, ANN.person]
        assert last.change.status.approvals[0].reason == "looks right"
        assert serves_on(environment, "a")
        assert (last.entry.action, last.entry.actor) == ("apply", ANN.label)
        assert last.entry.reason == (
            "change/1 by mia@example.com, approved by kai@example.com and ann@example.com: everybody is ready"
        )
        assert [str(change.id) for change in last.entry.changes] == ["flag/a", "change/1"]


async def test_authors_do_not_approve_their_own() -> None:
    """Nor with another token, spelled another way."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS))
        for again in (AUTHOR, MIA_APPROVES):
            with pytest.raises(Forbidden, match="authors do not approve their own") as refusal:
                await approve(environment, 1, again)
            assert "ann@example.com, kai@example.com" in refusal.value.hint


async def test_who_is_not_asked_has_no_say() -> None:
    """An admin neither."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS))
        for nobody in (STRANGER, ADMIN):
            with pytest.raises(Forbidden, match="is not asked about change/1: it takes people of release-managers"):
                await approve(environment, 1, nobody)


async def test_a_person_counts_once() -> None:
    """Whatever tokens they hold; saying yes twice writes nothing."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS))
        await approve(environment, 1, KAI)
        again = await approve(environment, 1, replace(KAI, token_id="other000", person="KAI@example.com"))
        assert again.entry is None
        assert [lacking.count for lacking in again.change.missing] == [1]


async def test_two_at_the_same_moment_apply_once() -> None:
    """One of them carries it out, and the other is told that it is done."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        both = await asyncio.gather(approve(environment, 1, KAI), approve(environment, 1, ANN))
        assert sorted(one.entry is None for one in both) == [False, True]
        assert {one.change.status.state for one in both} == {ChangeState.APPLIED}
        assert len([e for e in await environment.journal.entries(0, 100) if e.action == "apply"]) == 1


@pytest.mark.parametrize("verb", ["edit", "kill", "cohort", "policy"])
async def test_any_edit_of_what_it_rests_on_voids_it(verb: str) -> None:
    """In the entry of the edit, which says who and what; changing it back revives nothing."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("c", GROWS, never=["beta"]))
        match verb:
            case "edit":
                await ask(environment, document("Flag", "c", {"never": ["beta"]}, owner="kai"), by=ADMIN)
            case "kill":
                await kill(environment, Kill("c"), ADMIN)
            case "cohort":
                await ask(environment, cohort("beta", "u-1", "u-2"), by=ADMIN)
            case _:
                await ask(environment, document("Policy", "more", {"names": {"Cohort": "[a-z]+"}}), by=ADMIN)
        edit = environment.position.revision
        with pytest.raises(Refused, match="change/1 was voided") as refusal:
            await approve(environment, 1, KAI)
        assert refusal.value.rule == "change-ended"
        (entry,) = await environment.journal.history(None, 0, 1)
        assert entry.revision == edit
        assert "change/1" in {str(change.id) for change in entry.changes}
        assert not serves_on(environment, "c")


async def test_what_it_does_not_rest_on_voids_nothing() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        await kill(environment, Kill("b"), ADMIN)
        assert (await approve(environment, 1, KAI)).change.status.state is ChangeState.APPLIED


async def test_what_planning_again_finds_new_voids_it() -> None:
    """A flag that came to depend on it since is part of the plan, and nobody was asked about that one."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        await ask(environment, flag("d", requires=[{"flag": "a", "variants": ["on"]}]))
        await approve(environment, 2, KAI)
        with pytest.raises(Refused, match="gives another plan, which rests on flag/d too"):
            await approve(environment, 1, KAI)
        (entry,) = await environment.journal.history(None, 0, 1)
        assert entry.action == END
        assert not serves_on(environment, "a")


async def test_it_expires() -> None:
    """A clock that is set back revives nothing that the journal has seen the end of."""
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        await ask(environment, flag("a", GROWS))
        clock.advance(environment.change_wait_ms)
        await kill(environment, Kill("b"), ADMIN)
        clock.advance(-environment.change_wait_ms)
        with pytest.raises(Refused, match="change/1 has expired"):
            await approve(environment, 1, KAI)


async def test_it_does_not_expire_a_moment_earlier() -> None:
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        await ask(environment, flag("a", GROWS))
        clock.advance(environment.change_wait_ms - 1)
        assert (await approve(environment, 1, KAI)).change.status.state is ChangeState.APPLIED


async def test_what_was_rejected_or_never_was_is_approved_by_nobody() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        await reject(environment, 1, KAI, "not today")
        with pytest.raises(Refused, match="change/1 was rejected: not today"):
            await approve(environment, 1, ANN)
        with pytest.raises(NotFound):
            await approve(environment, 2, ANN)


async def test_each_group_must_be_satisfied() -> None:
    """Two policies, two groups: one approval of each, whoever comes first."""
    security = document(
        "Policy",
        "security",
        {"groups": {"security": [STRANGER.person]}, "approvals": {"Flag": {"from": "security", "count": 1}}},
    )
    async with guarded(policy(), security) as environment:
        await ask(environment, flag("a", GROWS))
        first = await approve(environment, 1, STRANGER)
        assert [lacking.group for lacking in first.change.missing] == ["release-managers"]
        assert (await approve(environment, 1, KAI)).change.status.state is ChangeState.APPLIED


async def test_pruning_is_void_once_there_is_something_new_to_prune() -> None:
    """What would be deleted besides was in nobody's plan."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS), prune=True)
        await ask(environment, cohort("gamma", "u-9"))
        with pytest.raises(Refused, match="voided"):
            await approve(environment, 1, KAI)
