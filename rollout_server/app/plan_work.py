"""What `apply` and `revert` would write, planned now or planned again: the same door for whoever asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.documents import Document, read_documents
from rollout_server.app.moments import At
from rollout_server.domain import history
from rollout_server.domain.changes import ChangeAction
from rollout_server.domain.frozen import freezes_told, held_back
from rollout_server.domain.journal import Draft
from rollout_server.domain.people import names_of
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind
from rollout_server.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.environment import Environment
    from rollout_server.domain.changes import ChangeSpec
    from rollout_server.domain.journal import Change, Entry, State
    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import ResourceId

FROZEN_HINT = (
    "wait, ask somebody whom the freeze exempts, or `rollout thaw` it (one that comes every week: edit it);"
    " what shrinks, rollback and kill work now"
)
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Work:
    """A plan, and what carrying it out writes.

    Attributes:
        before: the state it was planned on.
        reads: version of all that it rests on.
        writes: empty where everything stands already.
    """

    before: State
    planned: Plan
    reads: Mapping[ResourceId, int]
    writes: tuple[Change, ...]

    def check(self) -> None:
        """Refuse a plan that cannot be carried out.

        Raises:
            InvalidInput: with all its problems.
        """
        if self.planned.problems:
            raise InvalidInput(self.planned.problems)


def refuse_frozen(environment: Environment, work: Work, *people: str) -> Mapping[ResourceId, int]:
    """Refuse a plan that lets grow what a freeze holds; what shrinks goes through whatever is frozen.

    Args:
        environment: its clock says when.
        work: planned on its present state.
        people: who want it; one whom the freeze exempts is enough.

    Returns:
        Version of the freezes it was compared with, to be read by whoever writes it.

    Raises:
        Refused: "freeze".
    """
    resources = work.before.resources
    names = frozenset[str]().union(*(names_of(resources.values(), person) for person in people))
    held = held_back(resources, work.planned, environment.now_ms, names)
    if held:
        named = ", ".join(map(str, held[:_NAMED_MAX]))
        more = f" and {len(held) - _NAMED_MAX} more" if len(held) > _NAMED_MAX else ""
        told = freezes_told(resources, [id_.key for id_ in held], environment.now_ms, names)
        message = f"frozen by {told}: this is not proven to shrink {named}{more}"
        raise Refused("freeze", message, FROZEN_HINT)
    return {id_: one.version for id_, one in resources.items() if id_.kind is Kind.FREEZE}


async def plan_documents(state: State, ruleset: Ruleset, wish: Wish) -> Work:
    """Plan what documents want; whether they fit is for the caller to check.

    Args:
        state: to plan on.
        ruleset: of that state.
        wish: as `documents.read_documents` read it.
    """
    planned = await asyncio.to_thread(plan, state, wish, ruleset)
    return Work(state, planned, planned.reads, planned.writes)


async def plan_way_back(environment: Environment, entry: Entry, state: State, ruleset: Ruleset) -> Work:
    """Plan how the resources of an entry that people write go back to the specs they had before.

    Args:
        environment: whose journal has the entry.
        entry: to undo.
        state: to plan on.
        ruleset: of that state.

    Raises:
        Conflict: later entries changed the same specs again.
        InvalidInput: the earlier specs do not fit what stands.
        NotFound: the state before the entry is no longer kept.
        Unavailable: the store is away.
    """
    before = await environment.state_at(At(revision=entry.revision - 1))
    wanted = history.revert(entry, before, state, Draft({}, (), "", "revert", 0))
    changes = wanted.changes
    documents = [change.after for change in changes if change.after is not None]
    wish = Wish(documents, delete=frozenset(change.id for change in changes if change.after is None))
    work = await plan_documents(state, ruleset, wish)
    work.check()
    # Of the plan what it rests on; of the way back what is written: a flag that was deleted while it was killed comes
    # back killed, and a plan would make it new.
    return Work(state, work.planned, {**work.reads, **wanted.reads}, changes)


async def plan_again(environment: Environment, spec: ChangeSpec, state: State, ruleset: Ruleset) -> Work:
    """Plan what a stored change wants, on any state.

    Raises:
        InvalidInput, Conflict, NotFound, Unavailable: as when it was planned first.
    """
    if spec.action is ChangeAction.REVERT:
        return await plan_way_back(environment, await entry_of(environment, spec.revision), state, ruleset)
    documents = [Document(text, origin=origin) for origin, text in spec.documents]
    specs = await asyncio.to_thread(read_documents, documents)
    work = await plan_documents(state, ruleset, Wish(specs.resources, spec.prune, origins=specs.origins))
    work.check()
    return work


async def entry_of(environment: Environment, revision: int) -> Entry:
    """Return one entry.

    Raises:
        NotFound: there is none, or it is no longer kept.
        Unavailable: the store is away.
    """
    newest = environment.position.revision
    if not 0 < revision <= newest:
        raise NotFound("revision", str(revision), f"the newest one here is {newest}")
    (entry,) = await environment.journal.entries(revision - 1, 1)
    return entry
