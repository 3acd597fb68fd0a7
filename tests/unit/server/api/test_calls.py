"""Calls under way: counted, limited, cut when their token falls."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from rollout_server.api.calls import ANONYMOUS_MAX, Call, Caller, Calls, current_caller
from rollout_server.app.actor import Actor
from rollout_server.app.environment import Environment
from rollout_server.app.tokens import CreateToken, RevokeToken, create_token, revoke_token
from rollout_server.domain.rights import Role
from rollout_server.errors import Forbidden, Unavailable
from tests.small_environment import MIA, opened


async def caller_of(environment: Environment) -> Caller:
    created = await create_token(environment, CreateToken("sdk", "shop"), MIA)
    return Caller(environment, Actor("shop", created.token.id, Role.SDK))


async def held(calls: Calls, caller: Caller | None, *, is_stream: bool, ready: asyncio.Event) -> Call:
    """A call that lasts until it is cut; return how it was."""
    with calls.under_way(caller, is_stream=is_stream) as call:
        ready.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return call
    raise AssertionError


async def test_who_calls_is_known_inside_the_call() -> None:
    async with opened() as environment:
        caller = await caller_of(environment)
        with Calls(1, 1).under_way(caller, is_stream=True):
            assert current_caller() is caller


async def test_a_revoked_token_cuts_its_calls_and_no_others() -> None:
    async with opened() as environment:
        calls, mine, theirs = Calls(9, 9), await caller_of(environment), await caller_of(environment)
        ready = [asyncio.Event(), asyncio.Event()]
        fallen = asyncio.create_task(held(calls, mine, is_stream=True, ready=ready[0]))
        standing = asyncio.create_task(held(calls, theirs, is_stream=True, ready=ready[1]))
        for event in ready:
            await event.wait()
        assert calls.cut_fallen() == 0
        await revoke_token(environment, RevokeToken(mine.actor.token_id), MIA)
        assert calls.cut_fallen() == 1
        assert isinstance((await fallen).cut_by, Forbidden)
        assert not standing.done()
        standing.cancel()
        await standing
        assert calls._open == {}


async def test_streams_are_limited_by_token_and_by_server() -> None:
    async with opened() as environment:
        calls, mine, theirs = Calls(3, 2), await caller_of(environment), await caller_of(environment)
        with calls.under_way(mine, is_stream=True), calls.under_way(mine, is_stream=True):
            with pytest.raises(Unavailable, match="streams_per_token_max"), calls.under_way(mine, is_stream=True):
                pass
            with calls.under_way(theirs, is_stream=True):
                with pytest.raises(Unavailable, match="streams_max"), calls.under_way(theirs, is_stream=True):
                    pass
                with calls.under_way(theirs, is_stream=False):
                    assert current_caller() is theirs, "a question is answered still: on-call must get in"
        with calls.under_way(mine, is_stream=True):
            assert len(calls._open) == 1
        assert calls._open == {}


async def test_streams_without_a_token_are_few_and_keep_nobody_out() -> None:
    """Nobody without a token can fill the house, nor keep a load balancer from asking for health."""
    calls = Calls(10_000, 10_000)
    with ExitStack() as stack:
        for _ in range(ANONYMOUS_MAX):
            stack.enter_context(calls.under_way(None, is_stream=True))
        with pytest.raises(Unavailable, match="without a token"), calls.under_way(None, is_stream=True):
            pass
        with calls.under_way(None, is_stream=False):
            assert calls.cut_fallen() == 0
    with calls.under_way(None, is_stream=True):
        assert len(calls._open) == 1
    assert calls._open == {}
