"""History: who changed what, when and why, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.domain.diff import ResourceChange
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.resources import ResourceId

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
    """


async def tell(environment: Environment, entry: Entry) -> ToldEntry:
    """Return the entry with its fields before and after; raises as `history`."""
