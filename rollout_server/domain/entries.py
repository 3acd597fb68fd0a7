"""Entries as they are stored: canonical bytes in a hash chain (docs/adr/0003). Pure.

What is stored is a `Line`. Its digest covers the bytes of its body and the digest before it, never a new serialisation
of what was read: a later version that writes a field more still verifies what an earlier one wrote.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import canonical_json, read_stored, write_stored
from rollout_server.domain.journal import GENESIS_DIGEST, Change, Entry
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import Conflict, Corrupt, NotFound, RolloutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.domain.journal import Draft

DAMAGED_HINT = "keep the damaged store aside, restore a backup in its place, and start the server again"

_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, RolloutError)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain, as much of it as the next entry needs.

    Attributes:
        digest: 32 bytes; `GENESIS_DIGEST` at revision 0.
        at_ms: time of the last entry, Unix epoch, UTC.
    """

    revision: int = 0
    digest: bytes = GENESIS_DIGEST
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is stored.

    Attributes:
        body: UTF-8 JSON, as `body_of` writes it.
        digest: `digest_of(previous digest, body)`.
    """

    revision: int
    at_ms: int
    digest: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Outline:
    """What a body says, resources left as the JSON they are stored as: cheap, and true to the stored text.

    Attributes:
        changes: resource after the entry; None where the entry deletes it.
    """

    revision: int
    at_ms: int
    changes: tuple[tuple[ResourceId, Json], ...]


def body_of(entry: Entry) -> bytes:
    """Return the canonical bytes of all that an entry says, its digest left out."""
    return canonical_json(
        {
            "revision": entry.revision,
            "at_ms": entry.at_ms,
            "actor": entry.actor,
            "action": entry.action,
            "reason": entry.reason,
            "idempotency_key": entry.idempotency_key,
            "changes": [
                {
                    "kind": change.id.kind.value,
                    "key": change.id.key,
                    "after": None if change.after is None else write_stored(change.after),
                }
                for change in entry.changes
            ],
        }
    )


def digest_of(previous: bytes, body: bytes) -> bytes:
    """Return SHA-256 over the digest before and the body: 32 bytes."""
    return hashlib.sha256(previous + body).digest()


def check_reads(reads: Mapping[ResourceId, int], versions: Mapping[ResourceId, int]) -> None:
    """Refuse a draft that rests on versions which no longer stand.

    Args:
        reads: what the draft rests on.
        versions: what stands now; a resource that is not there has version 0.

    Raises:
        Conflict: names every resource that moved.
    """
    moved = sorted((resource for resource, version in reads.items() if versions.get(resource, 0) != version), key=str)
    if moved:
        raise Conflict(
            ", ".join(str(resource) for resource in moved),
            ", ".join(str(reads[resource]) for resource in moved),
            ", ".join(str(versions.get(resource, 0)) for resource in moved),
        )


def check_ground(draft: Draft, epoch: str, fence: int) -> None:
    """Refuse a draft of another history, or of a lease that was taken over.

    Args:
        draft: what wants to be written.
        epoch: of the history as it is stored.
        fence: the newest token of the lease.

    Raises:
        Conflict: says which.
    """
    if draft.fence and draft.fence != fence:
        raise Conflict("the lease", f"token {draft.fence}", f"token {fence}", "another controller has taken over")
    if draft.epoch and draft.epoch != epoch:
        raise Conflict(
            "epoch", draft.epoch, epoch, "the history was made a new epoch: decide again on what it says now"
        )


def check_after(after: int, oldest: int, last: int) -> None:
    """Refuse to read on from a revision whose followers are not all here.

    Args:
        after: the revision to read on from.
        oldest: revision of the checkpoint.
        last: revision of the head.

    Raises:
        NotFound: it lies before the oldest that is kept, or beyond the head.
    """
    if after < oldest:
        hint = f"history is kept from revision {oldest} on: load the state, or read on from there"
        raise NotFound("revision", str(after), hint)
    if after > last:
        raise NotFound("revision", str(after), f"the last one is {last}: load the state again")


def commit(head: Head, draft: Draft) -> tuple[Entry, Line]:
    """Make the entry that follows `head`. The caller has checked the reads, and stores the line or nothing.

    A clock that went backwards does not reorder: an entry is never older than the one before it.

    Raises:
        ValueError: the draft changes a resource twice, or under another name than its own.
    """
    revision = head.revision + 1
    if len({change.id for change in draft.changes}) != len(draft.changes):
        raise ValueError("a draft changes each resource once")
    changes = []
    for change in draft.changes:
        if change.after is not None and change.after.id != change.id:
            raise ValueError(f"a change of {change.id} holds {change.after.id}")
        changes.append(Change(change.id, None if change.after is None else change.after.at_version(revision)))
    at_ms = max(draft.at_ms, head.at_ms)
    unsealed = Entry(
        revision, at_ms, draft.actor, draft.action, draft.reason, draft.idempotency_key, tuple(changes), digest=b""
    )
    body = body_of(unsealed)
    digest = digest_of(head.digest, body)
    return replace(unsealed, digest=digest), Line(revision, at_ms, digest, body)


def follow(head: Head, line: Line) -> Head:
    """Return the head after a line, if it truly follows.

    Raises:
        Corrupt: it is not the next one, or its digest does not hold.
    """
    where = f"entry {line.revision}"
    if line.revision != head.revision + 1:
        raise Corrupt(where, f"it follows revision {head.revision}: entries were dropped or reordered", DAMAGED_HINT)
    if digest_of(head.digest, line.body) != line.digest:
        raise Corrupt(where, "its digest does not hold: it, or the one before it, was changed", DAMAGED_HINT)
    return Head(line.revision, line.digest, line.at_ms)


def outline(line: Line) -> Outline:
    """Read a line without reading its resources.

    Raises:
        Corrupt: the body does not parse, or says another revision or time than the line.
    """
    tree = _parse(line)
    try:
        return Outline(line.revision, line.at_ms, tuple((name_of(item), item["after"]) for item in tree["changes"]))
    except _UNREADABLE as error:
        raise _unreadable(line, error) from error


def read_entry(line: Line) -> Entry:
    """Return the entry that a line holds. The digest is not checked here: `follow` does, knowing the one before.

    Raises:
        Corrupt: the body does not parse.
    """
    tree = _parse(line)
    try:
        return Entry(
            line.revision,
            line.at_ms,
            tree["actor"],
            tree["action"],
            tree["reason"],
            tree["idempotency_key"],
            tuple(
                Change(name_of(item), None if item["after"] is None else read_stored(item["after"]))
                for item in tree["changes"]
            ),
            line.digest,
        )
    except _UNREADABLE as error:
        raise _unreadable(line, error) from error


def name_of(tree: dict[str, Any]) -> ResourceId:
    """Return the resource that a stored tree names by its "kind" and "key".

    Raises:
        KeyError, ValueError, TypeError: it names none.
    """
    return ResourceId(Kind(tree["kind"]), tree["key"])


def _parse(line: Line) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(line.body)
        said = (tree["revision"], tree["at_ms"])
    except _UNREADABLE as error:
        raise _unreadable(line, error) from error
    if said != (line.revision, line.at_ms):
        raise Corrupt(f"entry {line.revision}", f"its body says revision {said[0]} at {said[1]} ms", DAMAGED_HINT)
    return tree


def _unreadable(line: Line, error: Exception) -> Corrupt:
    return Corrupt(f"entry {line.revision}", f"its body does not parse: {error!r}", DAMAGED_HINT)
