"""Revert: undo one entry by writing the specs that stood before it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.app.changes import find_change, view_of
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.plan_work import entry_of, plan_way_back, refuse_frozen
from rollout_server.app.publish import check_publishable
from rollout_server.app.store_change import Asked, hold, stored_in
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.changes import ChangeAction
from rollout_server.domain.resources import Kind
from rollout_server.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.changes import ChangeView
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.resources import ResourceId

_VERBS: Mapping[str, str] = MappingProxyType(
    {
        "kill": "rollout unkill {key}",
        "unkill": "rollout kill {key}",
        "create token": "rollout token revoke {key}",
        "revoke token": "rollout token create",
        "store change": "rollout reject change/{key}",
        "approve change": "rollout reject change/{key}",
        "reject change": "rollout apply",
        "end change": "rollout apply",
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
    """What came of it.

    Attributes:
        entry: None where every spec already stands as it did before, and where it waits for approval.
        change: what waits for approval instead of being reverted.
    """

    entry: Entry | None
    position: Position
    change: ChangeView | None = None


async def revert(environment: Environment, command: Revert, actor: Actor, fleet: Fleet) -> Reverted:
    """Write the earlier specs; what verbs wrote stays: a killed flag stays killed.

    Approvals are asked for as by `apply`.

    Raises:
        NotFound: there is no such entry, or it is no longer kept.
        InvalidInput: the earlier specs do not fit what stands now.
        Refused: "own-undo", the entry is the work of a verb with an undo of its own, given in the hint; "unsupported";
            "freeze"; see `store_change.hold` for approvals.
        Conflict: later entries changed the same specs again, or as `apply`.
        Unavailable: the store is away; nothing was written.
    """
    asked = Asked(
        ChangeAction.REVERT,
        command.intent.reason,
        revision=command.revision,
        allow_unsupported=command.allow_unsupported,
    )

    async def compose() -> Composed[ResourceId | None]:
        entry = await entry_of(environment, command.revision)
        _refuse_verbs(entry)
        work = await plan_way_back(environment, entry, environment.state, environment.ruleset)
        if work.writes:
            await check_publishable(work.planned, fleet, allow_unsupported=command.allow_unsupported)
            held = hold(environment, work, asked, actor)
            if held is not None:
                return Composed(held.reads, held.changes, held.answer, held.action)
            freezes = refuse_frozen(environment, work, actor.person)
            return Composed({**work.reads, **freezes}, work.writes, None)
        return Composed(work.reads, (), None)

    print_ = fingerprint("revert", command.revision, command.allow_unsupported)
    written = await transact(environment, Request("revert", actor.label, command.intent, print_), compose)
    stored = written.answer or (stored_in(written.entry) if written.entry else None)
    if stored is None:
        return Reverted(written.entry, environment.position)
    return Reverted(None, environment.position, view_of(environment, find_change(environment, int(stored.key))))


def _refuse_verbs(entry: Entry) -> None:
    undo = _VERBS.get(entry.action)
    if undo is None and any(change.id.kind is Kind.TOKEN for change in entry.changes):
        undo = "rollout token list"
    if undo is not None:
        command = undo.format(key=entry.changes[0].id.key)
        message = f"entry {entry.revision} is the work of {entry.action!r}, which has an undo of its own"
        raise Refused("own-undo", message, f"type `{command}`")
