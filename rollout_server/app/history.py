"""History: who changed what, when and why, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.moments import At
from rollout_server.domain.diff import ResourceChange, change_of

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry, State
    from rollout_server.domain.resources import Resource, ResourceId

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
LOOKUPS_MAX = 32
"""Resources of one entry that are looked up one by one; also, changes that make an entry a large one."""


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
    return HistoryPage(await tell(environment, entries), oldest.position.revision)


async def tell(environment: Environment, entries: Iterable[Entry]) -> tuple[ToldEntry, ...]:
    """Return entries, newest first, with their fields before and after.

    Args:
        environment: whose entries.
        entries: newest first; those between them may be left out.

    Raises:
        Unavailable, Corrupt: as `history`.
    """
    told: list[ToldEntry] = []
    # Oldest first: what an entry left of a resource is what the next one that changes it found.
    left: dict[ResourceId, Resource | None] = {}
    for entry in reversed(tuple(entries)):
        remembered = environment.before(entry.revision)
        if remembered is None:
            unknown = [change.id for change in entry.changes if change.id not in left]
            left.update(await _before(environment, entry.revision, unknown))
        else:
            left.update(remembered)
        changes = []
        for change in entry.changes:
            found = left[change.id]
            left[change.id] = change.after
            if found is not None or change.after is not None:
                changes.append(change_of(found, change.after))
        told.append(ToldEntry(entry, tuple(changes)))
    return tuple(reversed(told))


async def _before(
    environment: Environment, revision: int, ids: Sequence[ResourceId]
) -> dict[ResourceId, Resource | None]:
    """Resources as they stood before a revision.

    By the latest entry of each before that, not by replaying everybody's; but an entry that changed many is worth a
    replay, which reads it once, and is kept at hand for the next question.
    """
    found: dict[ResourceId, Resource | None] = {}
    oldest: State | None = None
    for id_ in ids:
        if len(found) >= LOOKUPS_MAX:
            break
        earlier = await environment.journal.history(id_, revision, 1)
        if earlier and len(earlier[0].changes) >= LOOKUPS_MAX:
            break
        if earlier:
            found[id_] = next((change.after for change in earlier[0].changes if change.id == id_), None)
        else:
            oldest = oldest or (await environment.journal.checkpoint()).state
            found[id_] = oldest.resources.get(id_)
    rest = [id_ for id_ in ids if id_ not in found]
    state = await environment.state_at(At(revision=revision - 1)) if rest else None
    return found | {id_: state.resources.get(id_) for id_ in rest if state}
