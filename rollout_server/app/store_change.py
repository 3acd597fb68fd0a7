"""Store a change: what a policy wants approved waits in the journal, and nothing else happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.transaction import Composed
from rollout_server.domain import policy
from rollout_server.domain.changes import ChangeAction, ChangeSpec, ChangeStatus
from rollout_server.domain.diff import Operation
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import Kind, Metadata, Resource
from rollout_server.domain.waiting import (
    WAITING_MAX,
    bound,
    change_id,
    numbered,
    overtaken,
    parts,
    superfluous,
    waiting_in,
)
from rollout_server.errors import Refused

if TYPE_CHECKING:
    from rollout_server.app.actor import Actor
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.app.plan_work import Work
    from rollout_server.domain.changes import Demand
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import ResourceId

STORE = "store change"
"""What the journal calls the entry that stores a change."""

_NAMED_MAX = 3
_DONE = {Operation.CREATE: "created", Operation.UPDATE: "updated", Operation.DELETE: "deleted"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for, as it must be stored to be planned again; see `ChangeSpec`."""

    action: ChangeAction
    reason: str
    documents: tuple[Document, ...] = ()
    prune: bool = False
    revision: int = 0
    allow_unsupported: bool = False


def hold(environment: Environment, work: Work, asked: Asked, actor: Actor) -> Composed[ResourceId] | None:
    """Return what stores the work as a change; None where nobody must approve it.

    The same plan, asked for again by whomever, is the change that waits already: nothing is written then.

    Raises:
        Refused: "unapprovable", too few people but the author could agree; "too-many-changes", too many wait already.
    """
    demands = policy.demands(work.before, work.planned)
    if not demands:
        return None
    resources, now_ms = work.before.resources, environment.now_ms
    waiting = [one for one in waiting_in(resources) if overtaken(one, resources, now_ms) is None]
    wanted = (work.planned.hash, asked.action, asked.allow_unsupported)
    for one in waiting:
        spec, _ = parts(one)
        if (spec.plan_hash, spec.action, spec.allow_unsupported) == wanted:
            return Composed({}, (), one.id)
    _check_approvable(demands, actor)
    if len(waiting) >= WAITING_MAX:
        raise Refused(
            "too-many-changes",
            f"{len(waiting)} changes wait for approval, and that is the limit",
            "`rollout changes` lists them: approve or reject some first",
        )
    change = Resource(
        Kind.CHANGE,
        Metadata(change_id(numbered(resources)).key),
        ChangeSpec(
            action=asked.action,
            author=actor.person,
            reason=asked.reason,
            stored_at_ms=now_ms,
            expires_at_ms=now_ms + environment.change_wait_ms,
            plan_hash=work.planned.hash,
            summary=_summary(work.planned),
            demands=demands,
            documents=tuple((one.origin, one.json) for one in asked.documents),
            prune=asked.prune,
            revision=asked.revision,
            allow_unsupported=asked.allow_unsupported,
            reads=bound(work.reads, resources),
        ),
        ChangeStatus(),
    )
    old = superfluous(resources)
    reads = {**work.reads, change.id: 0, **{one.id: one.version for one in old}}
    changes = (Change(change.id, change), *(Change(one.id, None) for one in old))
    return Composed(reads, changes, change.id, STORE)


def stored_in(entry: Entry) -> ResourceId | None:
    """Return the change that an entry stored, if that is what it did."""
    return entry.changes[0].id if entry.action == STORE else None


def _check_approvable(demands: tuple[Demand, ...], actor: Actor) -> None:
    for lacking in policy.missing(demands, (), actor.person):
        if lacking.count > len(lacking.people):
            message = (
                f"{lacking.count} of {lacking.group} must approve this, and besides its author "
                f"{len(lacking.people)} {'is' if len(lacking.people) == 1 else 'are'} in it"
            )
            raise Refused(
                "unapprovable", message, "let somebody apply it who is not in the group, or have people added"
            )


def _summary(planned: Plan) -> str:
    """Return "2 updated, 1 created: flag/a, flag/b, flag/c"."""
    changed = [one for one in planned.changes if one.operation is not Operation.UNCHANGED]
    counts = Counter(one.operation for one in changed)
    told = ", ".join(f"{counts[operation]} {word}" for operation, word in _DONE.items() if counts[operation])
    more = f" and {len(changed) - _NAMED_MAX} more" if len(changed) > _NAMED_MAX else ""
    return f"{told}: {', '.join(str(one.id) for one in changed[:_NAMED_MAX])}{more}"
