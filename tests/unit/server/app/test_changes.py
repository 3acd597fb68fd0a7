"""Looking at changes."""

from __future__ import annotations

import pytest

from rollout_server.app.changes import get_change, list_changes
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, kill
from rollout_server.app.status import waiting_count
from rollout_server.domain.changes import ChangeState
from rollout_server.errors import NotFound
from tests.doubles.fake_clock import FakeClock
from tests.small_approvals import ADMIN, GROWS, KAI, approve, ask, guarded, policy, reject
from tests.small_environment import document, flag


async def test_waiting_ones_are_listed_and_ended_ones_on_request() -> None:
    """Newest first, each as it stands."""
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        for key in ("a", "b", "c"):
            await ask(environment, flag(key, GROWS))
        await approve(environment, 1, KAI)
        await reject(environment, 2, KAI)
        assert [view.number for view in list_changes(environment)] == [3]
        assert waiting_count(environment) == 1
        states = {view.number: view.status.state for view in list_changes(environment, with_ended=True)}
        assert list(states.items()) == [
            (3, ChangeState.WAITING),
            (2, ChangeState.REJECTED),
            (1, ChangeState.APPLIED),
        ]


async def test_time_ends_a_change_before_anybody_writes_it_down() -> None:
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        await ask(environment, flag("a", GROWS))
        clock.advance(environment.change_wait_ms)
        assert list_changes(environment) == ()
        assert waiting_count(environment) == 0
        (view,) = list_changes(environment, with_ended=True)
        assert (view.status.state, view.ended_revision) == (ChangeState.EXPIRED, 0)


async def test_whoever_approves_is_warned_as_the_author_was() -> None:
    """A freeze that exempts nobody, and a flag whose day is over, are approved with open eyes."""
    async with guarded(policy()) as environment:
        freeze = {"from": "2099-01-01T00:00:00Z", "to": "2099-01-02T00:00:00Z", "except": ["mistyped"]}
        old = document("Flag", "old", {"rules": [{"id": "r1", **GROWS}]}, expires="2020-01-01")
        await ask(environment, old, document("Freeze", "f", freeze))
        _, plan = await get_change(environment, 1, NoFleet())
        assert plan is not None
        assert [one.split(" ")[0] for one in plan.result.warnings] == ["flag/old", "freeze/f"]


async def test_the_plan_is_that_of_the_day_it_was_stored() -> None:
    """Also after the ground moved, and after the change was slimmed: it is made again from the history."""
    async with guarded(policy()) as environment:
        stored = await ask(environment, flag("a", GROWS))
        assert stored.change is not None
        before, plan = await get_change(environment, 1, NoFleet())
        assert plan is not None
        assert plan.result.hash == stored.change.spec.plan_hash
        assert [str(change.id) for change in plan.result.changes] == ["flag/a"]
        assert (plan.result.shrinks, plan.result.population > 0) == (False, True)
        assert plan.moves
        await kill(environment, Kill("a"), ADMIN)
        after, again = await get_change(environment, 1, NoFleet())
        assert again == plan
        assert before.status.state is ChangeState.WAITING
        assert after.status.state is ChangeState.VOIDED
        assert (after.status.ended_by, after.status.because) == (ADMIN.person, "kill changed flag/a")
        assert after.ended_revision == environment.position.revision


async def test_what_never_was_is_not_found() -> None:
    async with guarded(policy()) as environment:
        with pytest.raises(NotFound) as refusal:
            await get_change(environment, 7, NoFleet())
        assert "rollout changes --all" in refusal.value.hint
