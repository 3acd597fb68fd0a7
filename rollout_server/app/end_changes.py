"""End changes: write down which waiting ones time, or an edit that did not know of them, has overtaken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_server.app.intent import NO_INTENT
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.journal import Change
from rollout_server.domain.waiting import overtaken, waiting_in
from rollout_server.errors import RolloutError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.app.environment import Environment

EVERY_S = 30.0
END = "end change"
"""What the journal calls an entry in which changes end by themselves."""

_SERVER = "rollout-server (at work)"


async def end_changes(environment: Environment) -> int:
    """End what is over, in one entry; return how many changes that were.

    Raises:
        Conflict: others write at every attempt.
        Unavailable: the store is away.
    """

    async def compose() -> Composed[int]:
        resources, now_ms = environment.state.resources, environment.now_ms
        over = [(one, end) for one in waiting_in(resources) if (end := overtaken(one, resources, now_ms)) is not None]
        reads = {one.id: one.version for one, _ in over}
        return Composed(reads, tuple(Change(one.id, end) for one, end in over), len(over))

    written = await transact(environment, Request(END, _SERVER, NO_INTENT, ""), compose)
    return written.answer or 0


async def keep_ending(environments: Iterable[Environment], every_s: float = EVERY_S) -> None:
    """End changes of every environment now and again, until cancelled; a store that is away is asked again."""
    each = tuple(environments)
    while True:
        for environment in each:
            try:
                await end_changes(environment)
            except RolloutError as error:
                environment.report("changes that are over could not be ended, to be tried again", error)
        await asyncio.sleep(every_s)
