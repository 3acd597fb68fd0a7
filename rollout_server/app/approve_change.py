"""Approve a change: one person's consent; the last one that is asked for carries it out, in the same entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.app.changes import find_change, view_of
from rollout_server.app.end_changes import END
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.plan_work import plan_again, refuse_frozen
from rollout_server.app.publish import check_publishable
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain import policy
from rollout_server.domain.changes import ChangeState, Given, voice
from rollout_server.domain.journal import Change
from rollout_server.domain.stamps import stamp
from rollout_server.domain.waiting import ended, is_waiting, overtaken, parts, stored_at
from rollout_server.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.changes import ChangeView
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.app.plan_work import Work
    from rollout_server.domain.changes import ChangeSpec, Demand
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.resources import Resource

_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class ApproveChange:
    """Consent to the change of this number, exactly as it is stored."""

    number: int
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Approved:
    """What came of it.

    Attributes:
        change: as it stands now: waiting for others, or applied.
        entry: what this call, or the first with its key, wrote; None where this person had approved already, or
            somebody else's approval was the last.
    """

    change: ChangeView
    entry: Entry | None
    position: Position


async def approve_change(environment: Environment, command: ApproveChange, actor: Actor, fleet: Fleet) -> Approved:
    """Note the approval; where nobody is missing any more, plan again, and apply if that gives the same plan.

    Raises:
        NotFound: there is no such change.
        Forbidden: the author approves nothing of their own; others are asked.
        Refused: "change-ended", it was voided, rejected or has expired; "freeze", this would be the last approval, and
            neither author nor approver is exempt; "unsupported", see `apply`.
        InvalidInput: an SDK could not read what it becomes.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """

    async def compose() -> Composed[Refused | None]:
        state, ruleset = environment.state, environment.ruleset
        change = find_change(environment, command.number)
        spec, status = parts(change)
        if status.state is ChangeState.APPLIED:
            return Composed({}, (), None)
        refuse_ended(environment, change)
        try:
            work = await plan_again(environment, spec, state, ruleset)
        except (InvalidInput, Conflict, NotFound) as error:
            return _void(change, f"it no longer fits: {error}")
        if work.planned.hash != spec.plan_hash:
            return _void(change, _what_is_new(work, spec))
        demands = policy.demands(state, work.planned)
        _check_person(change, demands, actor)
        given = status.approvals
        if not any(voice(one.person) == voice(actor.person) for one in given):
            reason = command.intent.reason
            given = (*given, Given(actor.person, actor.token_id, environment.now_ms, reason))
        if policy.missing(demands, (one.person for one in given), spec.author):
            return _noted(change, given)
        freezes = refuse_frozen(environment, work, spec.author, actor.person)
        await check_publishable(work.planned, fleet, allow_unsupported=spec.allow_unsupported)
        environment.offer(work.planned.after, work.planned.rulesets[1])
        return _carried_out(change, replace(work, reads={**work.reads, **freezes}), given, actor)

    request = Request("approve change", actor.label, command.intent, fingerprint("approve change", command.number))
    written = await transact(environment, request, compose)
    if written.answer is not None:
        raise written.answer
    return Approved(view_of(environment, find_change(environment, command.number)), written.entry, environment.position)


def refuse_ended(environment: Environment, change: Resource) -> None:
    """Refuse what is over, whether or not somebody has written that down.

    Raises:
        Refused: "change-ended".
    """
    over = overtaken(change, environment.state.resources, environment.now_ms) if is_waiting(change) else change
    if over is not None:
        _, status = parts(over)
        raise _ended(change, status.state, status.because)


def _ended(change: Resource, state: ChangeState, because: str) -> Refused:
    why = f": {because}" if because else ""
    hint = f"`rollout describe {change.id}` says more; whoever still wants it applies it again, which plans it anew"
    how = "has expired" if state is ChangeState.EXPIRED else f"was {state.value}"
    return Refused("change-ended", f"{change.id} {how}{why}", hint)


def _void(change: Resource, because: str) -> Composed[Refused | None]:
    end = ended(change, ChangeState.VOIDED, because=because)
    refused = _ended(change, ChangeState.VOIDED, because)
    return Composed({change.id: change.version}, (Change(change.id, end),), refused, END)


def _what_is_new(work: Work, spec: ChangeSpec) -> str:
    resources = work.before.resources
    new = [id_ for id_ in work.reads if spec.reads.get(str(id_)) != stamp(resources.get(id_))]
    named = ", ".join(map(str, new[:_NAMED_MAX])) or "this server"
    return f"planning it again gives another plan, which rests on {named} too"


def _check_person(change: Resource, demands: tuple[Demand, ...], actor: Actor) -> None:
    spec, _ = parts(change)
    groups = ", ".join(demand.group for demand in demands)
    if voice(spec.author) == voice(actor.person):
        people = sorted({one for lacking in policy.missing(demands, (), spec.author) for one in lacking.people})
        hint = f"ask one of {groups}: {', '.join(people)}"
        raise Forbidden(f"{actor.person} is the author of {change.id}, and authors do not approve their own", hint)
    if demands and not policy.is_asked(demands, actor.person):
        hint = f"`rollout describe {change.id}` names who is; a policy's groups say who belongs to them"
        raise Forbidden(f"{actor.person} is not asked about {change.id}: it takes people of {groups}", hint)


def _noted(change: Resource, given: tuple[Given, ...]) -> Composed[Refused | None]:
    _, status = parts(change)
    if given == status.approvals:
        return Composed({}, (), None)
    after = replace(change, status=replace(status, approvals=given, stored_revision=stored_at(change)))
    return Composed({change.id: change.version}, (Change(change.id, after),), None)


def _carried_out(change: Resource, work: Work, given: tuple[Given, ...], actor: Actor) -> Composed[Refused | None]:
    """One entry: what the change does, and that it is done, by whom it was asked for and approved."""
    spec, _ = parts(change)
    people = [one.person for one in given]
    by = f", approved by {' and '.join(filter(None, (', '.join(people[:-1]), people[-1])))}" if people else ""
    why = f": {spec.reason}" if spec.reason else ""
    done = ended(change, ChangeState.APPLIED, by=actor.person, approvals=given)
    return Composed(
        {**work.reads, change.id: change.version},
        (*work.writes, Change(change.id, done)),
        None,
        spec.action.value,
        f"{change.id} by {spec.author}{by}{why}",
    )
