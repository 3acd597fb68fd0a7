"""What happened to rollouts, newest first: read off the journal, so it is the same everywhere and after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.find_rollout import find_rollout
from rollout_server.domain.machine import sentence
from rollout_server.domain.resources import Kind, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry

EVENTS_MAX = 500
_PAGE = 200
_OF_DOCUMENTS = frozenset({"apply", "revert"})
_STEP = "advance"
"""Without a notice, a step of a ramp: there are twenty of them in an hour, and nobody is told."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run.

    Attributes:
        id: of the notice, the same in notifications; empty where nobody was told.
        kind: of the notice, else the entry's action.
    """

    id: str
    revision: int
    at_ms: int
    rollout: str
    run: int
    kind: str
    sentence: str
    actor: str


async def events(environment: Environment, target: str, before: int, limit: int) -> tuple[Event, ...]:
    """Return what happened, newest first; steps of a ramp are left to the history.

    Args:
        environment: where.
        target: a rollout, or its flag; empty is all.
        before: only of entries before this revision; 0 starts at the head.
        limit: at most this many, and at most `EVENTS_MAX`.

    Raises:
        NotFound: there is no such rollout.
        Unavailable: the store is away.
    """
    wanted = min(limit or EVENTS_MAX, EVENTS_MAX)
    resource = find_rollout(environment.state.resources, target).id if target else None
    found: list[Event] = []
    while len(found) < wanted:
        entries = await environment.journal.history(resource, before, _PAGE)
        for entry in entries:
            found += [one for one in _events_of(entry) if resource is None or one.rollout == resource.key]
        if len(entries) < _PAGE:
            break
        before = entries[-1].revision
    return tuple(found[:wanted])


def _events_of(entry: Entry) -> Iterator[Event]:
    if entry.action in _OF_DOCUMENTS:
        return
    for change in entry.changes:
        status = change.after.status if change.id.kind is Kind.ROLLOUT and change.after is not None else None
        if not isinstance(status, RolloutStatus) or status.run is None:
            continue
        run, place = status.run, (entry.revision, entry.at_ms, change.id.key, status.run.number)
        for notice in reversed(run.notices):
            yield Event(notice.id, *place, notice.kind.value, notice.sentence, entry.actor)
        if not run.notices and entry.action != _STEP:
            yield Event("", *place, entry.action, entry.reason or sentence(run), entry.actor)
