"""An environment whose policy asks two of three people about every flag, and the people in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rollout_server.app.actor import Actor
from rollout_server.app.apply import Applied, Apply, apply
from rollout_server.app.approve_change import ApproveChange, Approved, approve_change
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.intent import Intent
from rollout_server.app.reject_change import RejectChange, Rejected, reject_change
from rollout_server.domain.rights import Role
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import cohort, document, flag, opened, put

AUTHOR = Actor("mia@example.com", "a0000001", Role.AUTHOR)
KAI = Actor("kai@example.com", "a0000002", Role.APPROVER)
ANN = Actor("ann@example.com", "a0000003", Role.APPROVER)
MIA_APPROVES = Actor("Mia@Example.com", "a0000004", Role.APPROVER)
STRANGER = Actor("eve@example.com", "a0000005", Role.APPROVER)
ADMIN = Actor("root@example.com", "a0000006", Role.ADMIN)
PEOPLE = [KAI.person, ANN.person, AUTHOR.person]
GROWS = {"serve": "on"}


def policy(key: str = "production", *, count: int = 1, kinds: tuple[str, ...] = ("Flag",), **spec: Any) -> Document:
    """A policy that asks release managers about these kinds."""
    approvals = {kind: {"from": "release-managers", "count": count} for kind in kinds}
    return document("Policy", key, {"groups": {"release-managers": PEOPLE}, "approvals": approvals, **spec})


@asynccontextmanager
async def guarded(
    *documents: Document, clock: FakeClock | None = None, journal: MemoryJournal | None = None
) -> AsyncIterator[Environment]:
    """An environment with a policy (two people about flags, unless given), and three flags that serve off."""
    clock = clock or FakeClock()
    async with opened(journal or MemoryJournal(clock=clock), clock) as environment:
        given = documents or (policy(count=2),)
        await put(environment, *given, flag("a"), flag("b"), flag("c", never=["beta"]), cohort("beta", "u-1"))
        yield environment


async def ask(environment: Environment, *documents: Document, by: Actor = AUTHOR, **options: Any) -> Applied:
    """Apply."""
    reason = options.pop("reason", "")
    key = options.pop("key", "")
    return await apply(environment, Apply(documents, Intent(key, reason), **options), by, NoFleet())


async def approve(environment: Environment, number: int, by: Actor, reason: str = "") -> Approved:
    return await approve_change(environment, ApproveChange(number, Intent(reason=reason)), by, NoFleet())


async def reject(environment: Environment, number: int, by: Actor, reason: str = "") -> Rejected:
    return await reject_change(environment, RejectChange(number, Intent(reason=reason)), by)


def serves_on(environment: Environment, key: str) -> bool:
    """Whether the flag's rules serve on to somebody."""
    return bool(environment.ruleset.flags[key].rules)
