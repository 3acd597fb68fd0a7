"""Diff: what differs between two points of history, or between a point and documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.app.documents import read_documents
from rollout_server.app.moments import NOW, At
from rollout_server.domain.diff import Operation, change_of
from rollout_server.domain.resources import Kind

if TYPE_CHECKING:
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.domain.diff import ResourceChange


@dataclass(frozen=True, slots=True)
class Diff:
    """From `before` to `after`, or to the documents where these are given."""

    before: At
    after: At = NOW
    documents: tuple[Document, ...] | None = None


async def diff(environment: Environment, question: Diff) -> tuple[ResourceChange, ...]:
    """Return what differs, flags and cohorts only, in order of kind and key.

    Documents are compared by what people write: a flag that they hold keeps its status.

    Raises:
        InvalidInput: a document is wrong.
        NotFound: a point is not kept.
        Unavailable: the store is away, and a point is not in memory.
    """
    before = (await environment.state_at(question.before)).resources
    if question.documents is None:
        after = (await environment.state_at(question.after)).resources
    else:
        wanted = read_documents(question.documents).resources
        after = {
            one.id: replace(one, status=before[one.id].status, version=before[one.id].version)
            if one.id in before
            else one
            for one in wanted
        }
    ids = sorted(before.keys() | after.keys(), key=lambda id_: (id_.kind.value, id_.key))
    changes = (change_of(before.get(id_), after.get(id_)) for id_ in ids if id_.kind is not Kind.TOKEN)
    return tuple(change for change in changes if change.operation is not Operation.UNCHANGED)
