"""Revert: undo one entry by writing the specs that stood before it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.moments import At
from rollout_server.app.publish import check_publishable
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain import history
from rollout_server.domain.journal import Draft
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind
from rollout_server.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.journal import Change, Entry

_VERBS: Mapping[str, str] = MappingProxyType(
    {
        "kill": "rollout unkill {key}",
        "unkill": "rollout kill {key}",
        "create token": "rollout token revoke {key}",
        "revoke token": "rollout token create",
    }
)
"""Work of verbs that have an undo of their own, with the right that belongs to it."""


@dataclass(frozen=True, slots=True)
class Revert:
    """Undo the entry of this revision: each resource it changed goes back to the spec it had before."""

    revision: int
    intent: Intent = NO_INTENT
    allow_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Reverted:
    """`entry` is None where every spec already stands as it did before."""

    entry: Entry | None
    position: Position


async def revert(environment: Environment, command: Revert, actor: Actor, fleet: Fleet) -> Reverted:
    """Write the earlier specs; what verbs wrote stays: a killed flag stays killed.

    Raises:
        NotFound: there is no such entry, or it is no longer kept.
        InvalidInput: the earlier specs do not fit what stands now.
        Refused: "own-undo", the entry is the work of a verb with an undo of its own, given in the hint; "unsupported".
        Conflict: later entries changed the same specs again, or as `apply`.
        Unavailable: the store is away; nothing was written.
    """

    async def compose() -> Composed[None]:
        entry = await _entry(environment, command.revision)
        _refuse_verbs(entry)
        before = await environment.state_at(At(revision=entry.revision - 1))
        state, ruleset = environment.state, environment.ruleset
        wanted = history.revert(entry, before, state, Draft({}, (), actor.label, "revert", 0))
        planned = await asyncio.to_thread(plan, state, _wish(wanted.changes), ruleset)
        if planned.problems:
            raise InvalidInput(planned.problems)
        if wanted.changes:
            await check_publishable(planned, fleet, allow_unsupported=command.allow_unsupported)
        # Of the plan what it rests on; of the way back what is written: a flag that was deleted while it was killed
        # comes back killed, and a plan would make it new.
        return Composed({**planned.reads, **wanted.reads}, wanted.changes, None)

    print_ = fingerprint("revert", command.revision, command.allow_unsupported)
    written = await transact(environment, Request("revert", actor.label, command.intent, print_), compose)
    return Reverted(written.entry, environment.position)


async def _entry(environment: Environment, revision: int) -> Entry:
    newest = environment.position.revision
    if not 0 < revision <= newest:
        raise NotFound("revision", str(revision), f"the newest one here is {newest}")
    (entry,) = await environment.journal.entries(revision - 1, 1)
    return entry


def _refuse_verbs(entry: Entry) -> None:
    undo = _VERBS.get(entry.action)
    if undo is None and any(change.id.kind is Kind.TOKEN for change in entry.changes):
        undo = "rollout token list"
    if undo is not None:
        command = undo.format(key=entry.changes[0].id.key)
        message = f"entry {entry.revision} is the work of {entry.action!r}, which has an undo of its own"
        raise Refused("own-undo", message, f"type `{command}`")


def _wish(changes: tuple[Change, ...]) -> Wish:
    documents = [change.after for change in changes if change.after is not None]
    return Wish(documents, delete=frozenset(change.id for change in changes if change.after is None))
