"""History: who changed what, when and why, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.domain.diff import ResourceChange, change_of

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry, State
    from rollout_server.domain.resources import Resource, ResourceId

LIMIT_DEFAULT = 50
LIMIT_MAX = 500


@dataclass(frozen=True, slots=True)
class History:
    """Entries before a revision.

    Attributes:
        resource: None for the whole environment.
        before: 0 starts at the head.
        limit: 0 takes the default; never more than `LIMIT_MAX`.
    """

    resource: ResourceId | None = None
    before: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class ToldEntry:
    """An entry with what it changed, field by field. Hashes of tokens are left out."""

    entry: Entry
    changes: tuple[ResourceChange, ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first.

    Attributes:
        oldest_revision: the oldest revision that can still be replayed.
    """

    entries: tuple[ToldEntry, ...]
    oldest_revision: int


async def history(environment: Environment, question: History) -> HistoryPage:
    """Return one page.

    Raises:
        Unavailable: the store is away.
        Corrupt: an entry does not parse.
    """
    limit = min(question.limit or LIMIT_DEFAULT, LIMIT_MAX)
    entries = await environment.journal.history(question.resource, question.before, limit)
    oldest = (await environment.journal.checkpoint()).state
    return HistoryPage(await tell(environment, entries, oldest), oldest.position.revision)


async def tell(
    environment: Environment, entries: Iterable[Entry], oldest: State | None = None
) -> tuple[ToldEntry, ...]:
    """Return entries, newest first, with their fields before and after.

    Args:
        environment: whose entries.
        entries: newest first; those between them may be left out.
        oldest: the checkpoint's state, where the caller has it.

    Raises:
        Unavailable, Corrupt: as `history`.
    """
    told: list[ToldEntry] = []
    # Oldest first: what an entry left of a resource is what the next one that changes it found.
    left: dict[ResourceId, Resource | None] = {}
    for entry in reversed(tuple(entries)):
        changes = []
        for change in entry.changes:
            if change.id not in left:
                oldest = oldest or (await environment.journal.checkpoint()).state
                left[change.id] = await _before(environment, change.id, entry.revision, oldest)
            found = left[change.id]
            left[change.id] = change.after
            if found is not None or change.after is not None:
                changes.append(change_of(found, change.after))
        told.append(ToldEntry(entry, tuple(changes)))
    return tuple(reversed(told))


async def _before(environment: Environment, id_: ResourceId, revision: int, oldest: State) -> Resource | None:
    """The resource as it stood before a revision: by its own latest entry before, not by replaying everybody's."""
    for entry in await environment.journal.history(id_, revision, 1):
        return next((change.after for change in entry.changes if change.id == id_), None)
    return oldest.resources.get(id_)
