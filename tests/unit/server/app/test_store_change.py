"""What a policy wants approved waits, and nothing else happens."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.app.changes import list_changes
from rollout_server.app.fleet import NoFleet
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.revert import Revert, revert
from rollout_server.app.store_change import STORE
from rollout_server.domain.changes import ChangeAction, ChangeState
from rollout_server.domain.waiting import ENDED_KEPT, WAITING_MAX
from rollout_server.errors import Conflict, Refused
from tests.doubles.fake_clock import FakeClock
from tests.small_approvals import (
    ADMIN,
    ANN,
    AUTHOR,
    GROWS,
    KAI,
    PEOPLE,
    approve,
    ask,
    guarded,
    policy,
    reject,
    serves_on,
)
from tests.small_environment import MIA, cohort, document, flag


async def test_what_grows_waits() -> None:
    """The change is stored with who asked, why and for whom it waits; the flag stays as it was."""
    async with guarded() as environment:
        done = await ask(environment, flag("a", GROWS), reason="everybody is ready")
        assert done.entry is None
        assert done.change is not None
        assert (done.change.number, done.change.status.state) == (1, ChangeState.WAITING)
        assert (done.change.spec.author, done.change.spec.reason) == (AUTHOR.person, "everybody is ready")
        assert done.change.spec.summary == "1 updated: flag/a"
        (lacking,) = done.change.missing
        assert (lacking.group, lacking.count, set(lacking.people)) == ("release-managers", 2, {KAI.person, ANN.person})
        assert not serves_on(environment, "a")
        (entry,) = await environment.journal.history(None, 0, 1)
        assert (entry.action, entry.actor, entry.reason) == (STORE, AUTHOR.label, "everybody is ready")
        assert [str(change.id) for change in entry.changes] == ["change/1"]


async def test_what_shrinks_does_not_wait() -> None:
    """Nobody is asked about making it safer, also while a change of the same flag waits; that one is void then."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS))
        done = await ask(environment, flag("a", never=["beta"]))
        assert done.change is None
        assert done.entry is not None


async def test_kill_asks_nobody() -> None:
    async with guarded() as environment:
        assert (await kill(environment, Kill("a"), AUTHOR)).entry is not None


async def test_the_same_again_is_the_same_change() -> None:
    """A repeat, with its key or without, by the author or another, stores no second one."""
    async with guarded() as environment:
        first = await ask(environment, flag("a", GROWS), key="k")
        revision = environment.position.revision
        for again in (
            await ask(environment, flag("a", GROWS), key="k"),
            await ask(environment, flag("a", GROWS)),
            await ask(environment, flag("a", GROWS), by=ADMIN),
        ):
            assert again.change == first.change
            assert again.entry is None
        assert environment.position.revision == revision


async def test_what_would_publish_otherwise_is_another_change() -> None:
    """The last approval has nobody to ask about SDKs that cannot evaluate it: the author says so beforehand."""
    async with guarded() as environment:
        await ask(environment, flag("a", GROWS))
        other = await ask(environment, flag("a", GROWS), allow_unsupported=True)
        assert other.change is not None
        assert (other.change.number, other.change.spec.allow_unsupported) == (2, True)


async def test_an_expired_one_is_asked_for_anew() -> None:
    async with guarded(clock=FakeClock()) as environment:
        await ask(environment, flag("a", GROWS))
        environment.clock.advance(environment.change_wait_ms)  # type: ignore[attr-defined]  # the clock is a fake
        again = await ask(environment, flag("a", GROWS))
        assert again.change is not None
        assert again.change.number == 2


async def test_a_saved_plan_must_still_hold_when_it_is_stored() -> None:
    async with guarded() as environment:
        with pytest.raises(Conflict):
            await ask(environment, flag("a", GROWS), plan_hash="0" * 64)


async def test_a_change_that_nobody_could_approve_is_refused_at_once() -> None:
    """Three must agree, the author is one of three: two are left, and that is said before anything waits."""
    async with guarded(policy(count=3)) as environment:
        with pytest.raises(Refused, match="besides its author 2 are in it") as refusal:
            await ask(environment, flag("a", GROWS))
        assert refusal.value.rule == "unapprovable"
        assert (await ask(environment, flag("a", GROWS), by=ADMIN)).change is not None


async def test_a_revert_goes_through_the_same_door() -> None:
    """Undoing what shrank grows: it waits, is approved, and is then a revert like any other."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        await approve(environment, 1, KAI)
        shrunk = await ask(environment, flag("a"))
        assert shrunk.entry is not None
        command = Revert(shrunk.entry.revision, Intent(reason="it was right"))
        done = await revert(environment, command, AUTHOR, NoFleet())
        assert done.change is not None
        assert (done.entry, done.change.spec.action) == (None, ChangeAction.REVERT)
        assert not serves_on(environment, "a")
        assert (await revert(environment, command, AUTHOR, NoFleet())).change == done.change
        approved = await approve(environment, done.change.number, KAI)
        assert approved.entry is not None
        assert approved.entry.action == "revert"
        assert serves_on(environment, "a")


async def test_a_revert_that_shrinks_does_not_wait() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        applied = (await approve(environment, 1, KAI)).entry
        assert applied is not None
        done = await revert(environment, Revert(applied.revision), AUTHOR, NoFleet())
        assert done.change is None
        assert done.entry is not None
        assert not serves_on(environment, "a")


async def test_what_a_kill_hides_is_asked_about_all_the_same() -> None:
    """Nobody grows a flag while it is killed, for `unkill` to expose unseen."""
    async with guarded(policy()) as environment:
        await kill(environment, Kill("a"), AUTHOR)
        assert (await ask(environment, flag("a", GROWS))).change is not None
        await unkill(environment, Unkill("a"), ADMIN)
        assert not serves_on(environment, "a")


async def test_a_policy_is_in_force_once_it_stands() -> None:
    """The first apply of everything, the policy in it, asks nobody; the next one does."""
    async with guarded(document("Policy", "other", {"require": []})) as environment:
        first = await ask(environment, policy(), flag("a", GROWS))
        assert first.entry is not None
        assert (await ask(environment, flag("b", GROWS))).change is not None


async def test_deleting_the_policy_is_no_way_out() -> None:
    """By document, and by what `--prune` leaves out."""
    async with guarded(policy()) as environment:
        edited = await ask(environment, document("Policy", "production", {"groups": {"release-managers": PEOPLE}}))
        assert edited.change is not None
        pruned = await ask(
            environment, flag("a"), flag("b"), flag("c", never=["beta"]), cohort("beta", "u-1"), prune=True
        )
        assert pruned.change is not None
        assert pruned.change.spec.prune


async def test_only_so_many_wait() -> None:
    """An author cannot fill the journal with plans; those who approve are told what to do."""
    async with guarded(policy()) as environment:
        for number in range(WAITING_MAX):
            await ask(environment, flag("a", {"serve": "on", "when": {"attribute": "n", "equals": number}}))
        with pytest.raises(Refused, match="limit") as refusal:
            await ask(environment, flag("a", GROWS))
        assert refusal.value.rule == "too-many-changes"


async def test_changes_that_ended_are_forgotten_in_the_end_and_no_number_comes_twice() -> None:
    async with guarded(policy()) as environment:
        for number in range(1, ENDED_KEPT + 4):
            done = await ask(environment, flag("a", GROWS))
            assert done.change is not None
            assert done.change.number == number
            await reject(environment, number, AUTHOR)
        kept = [id_.key for id_ in environment.state.resources if id_.kind.value == "Change"]
        assert len(kept) == ENDED_KEPT + 1
        assert "1" not in kept


async def test_an_author_of_all_roles_waits_too() -> None:
    """No token is above the policy."""
    async with guarded(policy()) as environment:
        assert (await ask(environment, flag("a", GROWS), by=MIA)).change is not None


async def test_two_that_are_stored_at_the_same_moment_have_two_numbers() -> None:
    async with guarded(policy()) as environment:
        both = await asyncio.gather(ask(environment, flag("a", GROWS)), ask(environment, flag("b", GROWS)))
        assert {one.change.number for one in both if one.change} == {1, 2}


async def test_an_edit_beside_it_leaves_no_change_that_could_be_applied() -> None:
    """Whichever comes first: the change is planned on the edit, or void by it."""
    async with guarded(policy()) as environment:
        await asyncio.gather(ask(environment, flag("a", GROWS)), kill(environment, Kill("a"), AUTHOR))
        waiting = [change for change in list_changes(environment) if change.missing]
        for change in waiting:
            assert change.stored_revision == environment.position.revision, "it was planned on the kill"
