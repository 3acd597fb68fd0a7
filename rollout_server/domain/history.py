"""History: what differs between states, a state of the past, and the way back from one entry. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from rollout_server.domain.files import canonical_json, write_stored
from rollout_server.domain.journal import Change, Draft, fold
from rollout_server.domain.resources import Kind
from rollout_server.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.journal import Entry, State
    from rollout_server.domain.resources import Resource, ResourceId


@dataclass(frozen=True, slots=True)
class Difference:
    """One resource that is not the same in two states; None where it does not exist."""

    id: ResourceId
    before: Resource | None
    after: Resource | None


def difference(before: State, after: State) -> tuple[Difference, ...]:
    """Return what differs, ordered by kind and key. A resource that was changed and changed back does not differ."""
    found = [
        Difference(resource_id, old, new)
        for resource_id in before.resources.keys() | after.resources.keys()
        if not _same(old := before.resources.get(resource_id), new := after.resources.get(resource_id))
    ]
    return tuple(sorted(found, key=lambda item: (item.id.kind.value, item.id.key)))


def state_at(
    checkpoint: Checkpoint, entries: Iterable[Entry], *, revision: int | None = None, at_ms: int | None = None
) -> State:
    """Replay to a point of the past: a revision, or the last entry at or before a time. With neither, to the end.

    Args:
        checkpoint: the oldest state that is kept.
        entries: all that follow it, ascending, at least up to the point asked for; not read any further.
        revision: 0 is the empty beginning.
        at_ms: Unix epoch, UTC; a time after the last entry is the last entry.

    Raises:
        NotFound: the point lies before the checkpoint, or the revision has not happened yet.
    """
    base = checkpoint.state
    oldest = f"history is kept from revision {base.position.revision} on"
    if revision is not None and revision < base.position.revision:
        raise NotFound("revision", str(revision), oldest)
    if at_ms is not None and base.position.revision > 0 and at_ms < base.at_ms:
        raise NotFound("time", f"{at_ms} ms", f"{oldest}, which was written at {base.at_ms} ms")

    def is_past(entry: Entry) -> bool:
        return (revision is None or entry.revision <= revision) and (at_ms is None or entry.at_ms <= at_ms)

    state = fold(base, takewhile(is_past, entries))
    if revision is not None and at_ms is None and state.position.revision < revision:
        raise NotFound("revision", str(revision), f"the last one is {state.position.revision}")
    return state


def revert(entry: Entry, before: State, now: State, intent: Draft) -> Draft:
    """Return the draft that undoes one entry: each resource it changed goes back to the spec that it had before.

    What verbs wrote stays: a flag that was killed since stays killed, and undoing `kill` changes nothing here. A
    resource that the entry created is deleted; one that it deleted comes back whole, salt and kill included, so that
    its units keep their buckets. Changes that the entry voided stay void.

    Args:
        entry: what to undo.
        before: the state just before the entry.
        now: the state to write on.
        intent: actor, action, time, reason and idempotency key of the draft; its reads and changes are replaced.

    Returns:
        A draft without changes where every spec already stands as it did.

    Raises:
        Conflict: later entries changed what people wrote of some of these resources; all of them are named.
        ValueError: `before` is not the state just before the entry.
    """
    if before.position.revision != entry.revision - 1:
        raise ValueError(f"entry {entry.revision} is not undone from revision {before.position.revision}")
    undone = [change for change in entry.changes if change.id.kind is not Kind.CHANGE]
    moved = [change.id for change in undone if _moved_since(change, now)]
    if moved:
        raise Conflict(
            ", ".join(str(resource_id) for resource_id in moved),
            f"revision {entry.revision}",
            _found(moved, now),
            "later entries changed them again: undo those first, or apply the specs you want",
        )
    changes = (_way_back(change, before, now) for change in undone)
    return replace(
        intent,
        reads={change.id: _version(now, change.id) for change in undone},
        changes=tuple(change for change in changes if change is not None),
    )


def _found(moved: Sequence[ResourceId], now: State) -> str:
    """Say how these stand, as the end of "expected revision 3, found ..."."""
    versions = [(resource_id, _version(now, resource_id)) for resource_id in moved]
    if len(versions) == 1:
        version = versions[0][1]
        return f"revision {version}" if version else "that it was deleted since"
    return ", ".join(f"{key} at revision {version}" if version else f"{key} deleted since" for key, version in versions)


def _moved_since(change: Change, now: State) -> bool:
    """Whether what people wrote is not what the entry left. Verbs do not count: a killed flag's bad edit is undone."""
    left, stands = change.after, now.resources.get(change.id)
    if left is None or stands is None:
        return left is not stands
    return not _same(replace(stands, metadata=left.metadata, spec=left.spec), stands)


def _way_back(change: Change, before: State, now: State) -> Change | None:
    old, new = before.resources.get(change.id), now.resources.get(change.id)
    if old is not None and new is not None:
        back = replace(new, metadata=old.metadata, spec=old.spec)
        return None if _same(back, new) else Change(change.id, back)
    return None if old is new else Change(change.id, old)


def _version(state: State, resource_id: ResourceId) -> int:
    resource = state.resources.get(resource_id)
    return 0 if resource is None else resource.version


def _same(left: Resource | None, right: Resource | None) -> bool:
    if left is None or right is None or left is right:
        return left is right
    left, right = left.at_version(0), right.at_version(0)
    # Equal is not the same: to Python 1, 1.0 and True are equal, inside a JSON variant they are three values.
    return left == right and canonical_json(write_stored(left)) == canonical_json(write_stored(right))
