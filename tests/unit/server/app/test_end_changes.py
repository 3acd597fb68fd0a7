"""What time, or an edit that did not know of it, has overtaken is written down."""

from __future__ import annotations

import asyncio
import contextlib

from rollout_server.app.end_changes import END, end_changes, keep_ending
from rollout_server.domain.changes import ChangeState
from rollout_server.domain.waiting import change_id, parts
from tests.doubles.fake_clock import FakeClock
from tests.small_approvals import GROWS, ask, guarded, policy
from tests.small_environment import flag


async def test_nothing_is_written_while_all_wait() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        revision = environment.position.revision
        assert await end_changes(environment) == 0
        assert environment.position.revision == revision


async def test_what_expired_is_ended_by_the_server() -> None:
    """Once; its documents are left to the entry that stored it."""
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        await ask(environment, flag("a", GROWS))
        await ask(environment, flag("b", GROWS))
        clock.advance(environment.change_wait_ms)
        assert await end_changes(environment) == 2
        assert await end_changes(environment) == 0
        spec, status = parts(environment.state.resources[change_id(1)])
        assert (status.state, spec.documents, dict(spec.reads)) == (ChangeState.EXPIRED, (), {})
        (entry,) = await environment.journal.history(None, 0, 1)
        assert (entry.action, entry.actor) == (END, "rollout-server (at work)")


async def test_it_is_looked_after_until_cancelled() -> None:
    clock = FakeClock()
    async with guarded(policy(), clock=clock) as environment:
        await ask(environment, flag("a", GROWS))
        clock.advance(environment.change_wait_ms)
        ended = asyncio.Event()
        environment.subscribe(lambda entry, _before, _after: ended.set() if entry and entry.action == END else None)
        work = asyncio.create_task(keep_ending([environment], every_s=0))
        await asyncio.wait_for(ended.wait(), 10)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
