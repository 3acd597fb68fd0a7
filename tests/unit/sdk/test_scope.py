"""Scopes: outcomes belong to exactly the flags decided inside."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Arm
from rollout_sdk.scope import CURRENT, Scope
from rollout_sdk.sums import RunKey, Window
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset, launch_state

USER = Context("u-1")
STATES = (launch_state(), launch_state(rollout="second", flag="search", salt="s" * 16))


def client() -> RulesetClient:
    """Two flags, each with a rollout of its own."""
    return RulesetClient(launch_ruleset(*STATES))


def counted(client: RulesetClient) -> dict[str, int]:
    """Errors by rollout, of scopes."""
    window: Window = client._runtime.counting.rotate()
    return {
        run.rollout: total
        for run, arms in window.runs.items()
        if (total := sum(s.events["errors"].n.total() for key, s in arms.items() if s.events and not key.recomputed))
    }


def test_outcomes_belong_to_the_flags_decided_inside() -> None:
    """Not to those decided before, after, or elsewhere."""
    one = client()
    one.enabled("search", USER)
    with one.scope(USER) as scope:
        scope.enabled("checkout")
        scope.record("errors")
    assert counted(one) == {"launch": 1}
    with one.scope(USER) as scope:
        scope.record("errors")
    assert counted(one) == {}


def test_every_way_to_decide_attributes() -> None:
    """All getters, of the scope and of the client in deep code; but looking at all flags is none."""
    one = client()
    for ask in ("enabled", "string", "integer", "number", "json", "decide"):
        with one.scope(USER) as scope:
            getattr(scope, ask)("checkout")
            getattr(one, ask)("search", Context("u-1", country="TH"))
            one.decide_all(USER)
            scope.record("errors")
        wanted = (
            {"launch": 1, "second": 1} if ask in {"enabled", "decide"} else {}
        )  # another type than the flag's decides nothing
        assert counted(one) == wanted, ask


def test_decisions_for_somebody_else_are_not_the_scope_s() -> None:
    """A friend's flag, looked at on the way."""
    one = client()
    with one.scope(USER) as scope:
        one.enabled("checkout", Context("u-2"))
        scope.record("errors")
    assert counted(one) == {}


def test_an_outer_scope_holds_what_an_inner_one_decided() -> None:
    """And not the other way round."""
    one = client()
    with one.scope(USER) as outer:
        outer.enabled("checkout")
        with one.scope(USER) as inner:
            inner.enabled("search")
            inner.record("errors")
            assert counted(one) == {"second": 1}
        outer.record("errors")
        assert counted(one) == {"launch": 1, "second": 1}
    assert CURRENT.get() is None


def test_a_record_in_deep_code_is_the_scope_s() -> None:
    """Of the same units; another context's is worked out again."""
    one = client()
    with one.scope(USER) as scope:
        scope.enabled("checkout")
        one.record("errors", Context("u-1", country="TH"))
        one.record("errors", Context("u-2"))
    assert counted(one) == {"launch": 1}


def test_threads_are_handed_the_scope() -> None:
    """Its own methods attribute on any thread; a thread is not inside by itself."""
    one = client()

    def work(scope: Scope) -> None:
        one.enabled("search", USER)
        scope.enabled("checkout")

    with one.scope(USER) as scope:
        thread = threading.Thread(target=work, args=(scope,))
        thread.start()
        thread.join()
        scope.record("errors")
    assert counted(one) == {"launch": 1}


@pytest.mark.asyncio
async def test_tasks_are_inside_their_own_scope_only() -> None:
    """Concurrent requests of one event loop do not mix."""
    one = client()

    async def deep(flag: str, user: Context) -> None:
        await asyncio.sleep(0)
        one.enabled(flag, user)

    async def request(user: Context, flag: str, *, is_first: bool) -> str:
        with one.scope(user) as scope:
            await asyncio.gather(deep(flag, user), asyncio.to_thread(one.enabled, "plain", user))
            if is_first:
                scope.record("errors")
            return scope.carry()

    tokens = await asyncio.gather(
        *(request(Context(f"u-{n}"), "checkout" if n % 2 else "search", is_first=n % 2 == 1) for n in range(20))
    )
    assert counted(one) == {"launch": 10}
    assert len(set(tokens)) == 20


def test_both_arms_in_one_scope_leave_it_open() -> None:
    """A unit that was moved while it was served: the outcome is unattributed, never one arm's."""
    one = client()
    users = [Context(f"u-{number}") for number in range(100)]
    user = next(each for each in users if one.decide("checkout", each).arm is Arm.CONTROL)
    one._runtime.counting.rotate()
    with one.scope(user) as scope:
        scope.enabled("checkout")
        everybody = launch_ruleset(launch_state(1_000_000, allocation=2), STATES[1])
        one._runtime.serve_offline(RulesetClient(everybody)._runtime._cache.held)  # type: ignore[union-attr, arg-type] # it has one
        scope.enabled("checkout")
        scope.enabled("search")
        scope.record("errors")
    window = one._runtime.counting.rotate()
    assert window.unattributed == {"errors": 1}
    assert [run for run, arms in window.runs.items() if any(s.events for s in arms.values())] == [RunKey("second", 1)]
    assert len(scope.carry()) > 10


def test_a_scope_left_elsewhere_harms_nobody() -> None:
    """An exit without an entry, or in another thread, is survived."""
    one = client()
    scope = one.scope(USER)
    scope.__exit__(None, None, None)
    scope.__enter__()
    thread = threading.Thread(target=scope.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    CURRENT.set(None)


def test_scopes_that_hold_each_other_end() -> None:
    """However they were entered."""
    one = client()
    first, second = one.scope(USER), one.scope(USER)
    with first, second, first, second:
        first.enabled("checkout")
    second.record("errors")
    assert counted(one) == {"launch": 1}


def test_another_client_s_decisions_are_not_ours() -> None:
    """Two clients in one process."""
    one, other = client(), client()
    with one.scope(USER) as scope:
        other.enabled("checkout", USER)
        scope.record("errors")
    assert (counted(one), counted(other)) == ({}, {})


def test_a_resumed_scope_is_the_carried_one() -> None:
    """The same arms; what cannot be read is a scope without decisions."""
    one, other = client(), client()
    with one.scope(USER) as scope:
        scope.enabled("checkout")
    resumed = other.resume(scope.carry())
    assert resumed.carry() == scope.carry()
    resumed.record("errors")
    assert counted(other) == {"launch": 1}
    other.resume("nonsense").record("errors")
    assert counted(other) == {}


def test_a_scope_shows_nothing_personal() -> None:
    """In a log or a debugger."""
    one = client()
    with one.scope(Context("somebody@example.com")) as scope:
        scope.enabled("checkout")
    assert "somebody" not in repr(scope)


@pytest.mark.parametrize("odd", [None, 7, "u-1", object()])
def test_a_scope_of_anything_else_is_one_of_nobody(odd: object) -> None:
    """Decisions are made, outcomes recorded, nothing is raised."""
    one = client()
    with one.scope(odd) as scope:  # type: ignore[arg-type] # that is the point
        assert scope.enabled("plain")
        scope.enabled("checkout")
        one.record("errors", odd)  # type: ignore[arg-type] # that is the point
    one.resume(odd, odd).record("errors")  # type: ignore[arg-type] # that is the point
    assert counted(one) == {}
