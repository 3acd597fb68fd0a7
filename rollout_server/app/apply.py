"""Apply: documents become the environment's specs, in one transaction or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.app.changes import find_change, view_of
from rollout_server.app.documents import read_documents
from rollout_server.app.history import tell
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.plan_work import plan_documents, refuse_frozen
from rollout_server.app.publish import check_publishable
from rollout_server.app.store_change import Asked, hold, stored_in
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.changes import ChangeAction
from rollout_server.domain.diff import Operation, ResourceChange, is_same_document
from rollout_server.domain.plan import Wish
from rollout_server.domain.resources import Kind
from rollout_server.errors import Conflict

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.changes import ChangeView
    from rollout_server.app.documents import Document, Specs
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.journal import Entry, State
    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import ResourceId

_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the environment hold these documents.

    Attributes:
        prune: delete every flag and cohort that no document holds; never tokens.
        plan_hash: of a saved plan; refuses if anything it read has moved since. Empty: plan now.
        allow_unsupported: publish although some connected SDKs cannot evaluate it.
    """

    documents: tuple[Document, ...]
    intent: Intent = NO_INTENT
    prune: bool = False
    plan_hash: str = ""
    allow_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        entry: what this call, or the first call with its idempotency key, wrote; None when nothing changed, and where
            it waits for approval.
        changes: every document's resource and every pruned one, those that stayed the same included; of a repeat,
            what the first call changed.
        change: what waits for approval instead of being applied, as it stands now; a repeat may find it applied.
    """

    entry: Entry | None
    changes: tuple[ResourceChange, ...]
    position: Position
    change: ChangeView | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    changes: tuple[ResourceChange, ...]
    change: ResourceId | None = None


async def apply(environment: Environment, command: Apply, actor: Actor, fleet: Fleet) -> Applied:
    """Read, validate, plan, check as an SDK would, commit; where a policy demands approval, store it and do no more.

    A race with another writer is planned again; what the caller fixed, by a saved plan or by the version in a document,
    must still hold then.

    Raises:
        InvalidInput: a document is wrong, does not fit what stands, or an SDK could not read what it becomes.
        Conflict: the saved plan's ground has moved, a document was written for an earlier version, or the idempotency
            key was used for another request.
        Refused: "unsupported", a connected SDK cannot evaluate it; "freeze", it lets grow what is frozen; see
            `store_change.hold` for approvals.
        Unavailable: the store is away; nothing was written.
    """
    specs = await asyncio.to_thread(read_documents, command.documents)
    wish = Wish(specs.resources, command.prune, origins=specs.origins, environments=environment.environments)

    asked = Asked(
        ChangeAction.APPLY,
        command.intent.reason,
        command.documents,
        command.prune,
        allow_unsupported=command.allow_unsupported,
    )

    async def compose() -> Composed[_Answer]:
        state, ruleset = environment.state, environment.ruleset
        _check_versions(specs, state)
        work = await plan_documents(state, ruleset, wish)
        planned = work.planned
        if command.plan_hash and planned.hash != command.plan_hash:
            raise _moved(planned, command.plan_hash)
        work.check()
        if work.writes:
            await check_publishable(planned, fleet, allow_unsupported=command.allow_unsupported)
            held = hold(environment, work, asked, actor)
            if held is not None:
                return Composed(held.reads, held.changes, _Answer(planned.changes, held.answer), held.action)
            freezes = refuse_frozen(environment, work, actor.person)
            environment.offer(planned.after, planned.rulesets[1])
            return Composed({**work.reads, **freezes}, work.writes, _Answer(planned.changes))
        return Composed(work.reads, (), _Answer(planned.changes))

    # Documents as they were sent: the same files in another order are another request, and no harm is done by that.
    sent = [[one.kind, one.key, one.json] for one in command.documents]
    print_ = await asyncio.to_thread(
        fingerprint, "apply", sent, command.prune, command.plan_hash, command.allow_unsupported
    )
    request = Request("apply", actor.label, command.intent, print_)
    written = await transact(environment, request, compose)
    entry, answer = written.entry, written.answer
    stored = answer.change if answer else stored_in(entry) if entry else None
    changes = await _changes(environment, entry, answer)
    if stored is None:
        return Applied(entry, changes, environment.position)
    return Applied(None, changes, environment.position, view_of(environment, find_change(environment, int(stored.key))))


async def _changes(environment: Environment, entry: Entry | None, answer: _Answer | None) -> tuple[ResourceChange, ...]:
    if answer is None:
        told = (await tell(environment, (entry,)))[0].changes if entry else ()
        return tuple(change for change in told if change.id.kind is not Kind.CHANGE)
    planned = answer.changes
    if entry is None or answer.change is not None:
        return planned
    written = {change.id for change in entry.changes if change.after is not None}
    # Others may have written between the plan and the commit: the entry has the number, not the plan.
    return tuple(replace(one, version_after=entry.revision) if one.id in written else one for one in planned)


def _check_versions(specs: Specs, state: State) -> None:
    """Refuse documents that were written for another version, unless they say what stands anyway."""
    stale = []
    for resource in specs.resources:
        expected = specs.expected.get(resource.id)
        stands = state.resources.get(resource.id)
        actual = stands.version if stands else 0
        if expected not in (None, actual) and (stands is None or not is_same_document(stands, resource)):
            stale.append((resource.id, expected, actual))
    if stale:
        hint = "`rollout diff` shows what changed since; take it over, then set metadata.version to the new one"
        more = f" and {len(stale) - _NAMED_MAX} more" if len(stale) > _NAMED_MAX else ""
        what, versions, actuals = (
            ", ".join(map(str, column)) + more for column in zip(*stale[:_NAMED_MAX], strict=True)
        )
        raise Conflict(what, f"version {versions}", f"version {actuals} (0: it does not exist)", hint)


def _moved(planned: Plan, plan_hash: str) -> Conflict:
    """A plan keeps one hash over all it read, so what moved is told by naming what it reads, newest first."""
    newest = sorted(planned.reads.items(), key=lambda read: -read[1])[:_NAMED_MAX]
    names = ", ".join(f"{id_} (version {version})" for id_, version in newest) or "nothing"
    changed = [str(change.id) for change in planned.changes if change.operation is not Operation.UNCHANGED]
    now = f"{planned.hash[:12]}, which would change {', '.join(changed[:_NAMED_MAX]) or 'nothing'}"
    hint = f"look at a new plan before you apply it; it reads, newest first: {names}"
    return Conflict("what the saved plan rests on", plan_hash[:12], now, hint)
