"""Reject a change: whoever is asked may say no, and its author may withdraw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.approve_change import refuse_ended
from rollout_server.app.changes import find_change, view_of
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain import policy
from rollout_server.domain.changes import ChangeState, voice
from rollout_server.domain.journal import Change
from rollout_server.domain.rights import Role
from rollout_server.domain.waiting import ended, parts
from rollout_server.errors import Forbidden

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.changes import ChangeView
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry


@dataclass(frozen=True, slots=True)
class RejectChange:
    """End the change of this number without applying it."""

    number: int
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Rejected:
    """`entry` is None where it was rejected already."""

    change: ChangeView
    entry: Entry | None
    position: Position


async def reject_change(environment: Environment, command: RejectChange, actor: Actor) -> Rejected:
    """End it for good; what it wanted can be applied again, as another change.

    Raises:
        NotFound: there is no such change.
        Forbidden: neither its author, nor an admin, nor an approver who is asked.
        Refused: "change-ended", it was applied, voided or has expired.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """

    async def compose() -> Composed[None]:
        change = find_change(environment, command.number)
        spec, status = parts(change)
        if status.state is ChangeState.REJECTED:
            return Composed({}, (), None)
        refuse_ended(environment, change)
        is_author = voice(spec.author) == voice(actor.person)
        is_asked = actor.role is Role.APPROVER and policy.is_asked(spec.demands, actor.person)
        if not (is_author or is_asked or actor.role is Role.ADMIN):
            hint = f"its author {spec.author} may withdraw it; `rollout describe {change.id}` names who is asked"
            raise Forbidden(f"{actor.person} is not asked about {change.id}", hint)
        because = command.intent.reason or ("withdrawn by its author" if is_author else "")
        end = ended(change, ChangeState.REJECTED, by=actor.person, because=because)
        return Composed({change.id: change.version}, (Change(change.id, end),), None)

    request = Request("reject change", actor.label, command.intent, fingerprint("reject change", command.number))
    written = await transact(environment, request, compose)
    return Rejected(view_of(environment, find_change(environment, command.number)), written.entry, environment.position)
