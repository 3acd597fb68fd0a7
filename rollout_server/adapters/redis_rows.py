"""What lies in Redis, as this service speaks of it: names of keys, lines, states, marks."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rollout_sdk.engine.model import Position
from rollout_server.adapters.redis_refusals import DAMAGED_HINT
from rollout_server.domain.entries import Head, Line, follow
from rollout_server.domain.files import canonical_json, read_stored, write_stored
from rollout_server.domain.journal import GENESIS_DIGEST, State
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import Corrupt, RolloutError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_server.domain.journal import Draft, Entry

FORMAT = 1
"""Raised by a release that changes the keys; data of a later format is refused."""

MARK_BYTES = 32
NO_MARKS = bytes(MARK_BYTES)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an environment stands.

    Attributes:
        oldest: revision of the checkpoint; 0 where there is none.
        marks: of all resources, combined by exclusive or.
        epochs: id of the last entry of the stream of epochs.
        digests: at the revisions asked for; empty where the log does not have one.
    """

    epoch: str
    head: Head
    oldest: int
    oldest_digest: bytes
    marks: bytes
    fence: int
    epochs: str
    digests: tuple[bytes, ...] = ()

    @property
    def position(self) -> Position:
        """The head as a position."""
        return Position(self.epoch, self.head.revision, self.head.digest)

    def is_after(self, known: Head, digest: bytes) -> bool:
        """Whether this history holds an earlier head; see `is_after`."""
        return is_after(known, self.head, self.oldest, digest)


def meta_key(environment: str) -> str:
    """Return the key from which all others of an environment are made; braces keep them together."""
    return f"rollout:{{{environment}}}:meta"


def key_mark(key: bytes) -> str:
    """Return what tells servers with this key from servers with another, and says nothing about the key."""
    return hmac.new(key, b"rollout-guard: which key", hashlib.sha256).hexdigest()[:16]


def name_of(resource: ResourceId) -> str:
    """Return a resource's name in the store."""
    return f"{resource.kind.value}/{resource.key}"


def resource_of(name: bytes) -> ResourceId:
    """Undo `name_of`.

    Raises:
        Corrupt: it names none.
    """
    try:
        kind, key = name.decode().split("/", 1)
        return ResourceId(Kind(kind), key)
    except ValueError as error:
        raise Corrupt(repr(name), "there is no such kind of resource", DAMAGED_HINT) from error


def mark_of(resource: ResourceId, version: int, body: bytes) -> bytes:
    """Return what stands for one resource in the marks."""
    return hashlib.sha256(f"{resource.kind.value}\0{resource.key}\0{version}\0".encode() + body).digest()


def read_line(row: Sequence[bytes]) -> Line:
    """Read one line of the log.

    Raises:
        Corrupt: it is none.
    """
    try:
        revision, at_ms, digest, body = row
        return Line(int(revision), int(at_ms), bytes(digest), bytes(body))
    except (ValueError, TypeError) as error:
        where = f"entry {row[0]!r}" if row else "an entry"
        raise Corrupt(where, "it is not what this service writes", DAMAGED_HINT) from error


def read_entry_fields(entry_id: bytes, fields: Sequence[bytes]) -> Line:
    """Read an entry of the stream; raises as `read_line`."""
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    revision, _, _ = entry_id.partition(b"-")
    return read_line([revision, *(named.get(name, b"") for name in (b"at_ms", b"digest", b"body"))])


def read_standing(meta: Sequence[bytes | None], environment: str) -> Standing:
    """Read where an environment stands.

    Raises:
        Corrupt: it is not there, or not readable.
    """
    if meta[0] is None:
        raise gone(environment)
    try:
        epoch, revision, digest, at_ms, oldest, oldest_digest, marks, fence, epochs, *digests = (
            each or b"" for each in meta
        )
        head = Head(int(revision), digest, int(at_ms))
        return Standing(
            epoch.decode(), head, int(oldest), oldest_digest, marks, int(fence), epochs.decode(), tuple(digests)
        )
    except ValueError as error:
        raise Corrupt(f"meta of {environment}", f"it does not parse: {error!r}", DAMAGED_HINT) from error


def is_after(known: Head, now: Head, oldest: int, digest: bytes) -> bool:
    """Whether a history still holds a head that is known of it.

    Args:
        known: the head.
        now: where the history ends.
        oldest: revision of its checkpoint.
        digest: what it has at the revision of `known`; empty where it has nothing there any more.
    """
    if now.revision < known.revision:
        return False
    return digest == known.digest or known.revision == 0 or (not digest and known.revision <= oldest)


def gone(environment: str) -> Corrupt:
    """Return the refusal of an environment that was there, and is there no more."""
    return Corrupt(
        f"environment {environment}",
        "it is no longer in Redis: somebody emptied it, or this is another Redis",
        f"bring back the Redis that held it, or {DAMAGED_HINT}",
    )


def read_state(answer: Sequence[Any], environment: str) -> tuple[Standing, State]:
    """Read all that is stored as current, checked against the end of the chain and against the marks.

    Raises:
        Corrupt: it does not parse, or does not agree with itself.
    """
    meta, last, versions, bodies = answer
    now = read_standing(meta, environment)
    _check_end(now, [read_line(row) for row in last])
    marked = dict(zip(versions[::2], versions[1::2], strict=True))
    resources, marks = {}, NO_MARKS
    for name, body in zip(bodies[::2], bodies[1::2], strict=True):
        resource = resource_of(name)
        version = _version(marked.pop(name, b""))
        marks = _xor(marks, mark_of(resource, version, body))
        try:
            resources[resource] = read_stored(json.loads(body))
        except (ValueError, KeyError, TypeError, RecursionError, RolloutError) as error:
            raise Corrupt(str(resource), f"it does not parse: {error!r}", DAMAGED_HINT) from error
        if resources[resource].version != version:
            raise Corrupt(str(resource), f"it is stored at version {version}, and says another one", DAMAGED_HINT)
    if marks != now.marks or marked:
        raise Corrupt(
            "resources",
            "what is stored as current is not what was committed: somebody changed it in Redis",
            f"see `rollout audit verify`; {DAMAGED_HINT}",
        )
    return now, State(now.position, MappingProxyType(resources), now.head.at_ms)


def commit_arguments(draft: Draft, entry: Entry) -> list[Any]:
    """Return the reads and changes of an entry, as commit.lua takes them."""
    arguments: list[Any] = [len(draft.reads), len(entry.changes)]
    for resource, version in draft.reads.items():
        arguments += (name_of(resource), version)
    for change in entry.changes:
        if change.after is None:
            arguments += (name_of(change.id), b"", b"")
        else:
            body = canonical_json(write_stored(change.after))
            arguments += (name_of(change.id), mark_of(change.id, entry.revision, body), body)
    return arguments


def moved_versions(reads: Mapping[ResourceId, int], answer: Sequence[bytes]) -> dict[ResourceId, int]:
    """Return the versions that stand, of what commit.lua says has moved and of the rest."""
    moved = {resource_of(name): int(version) for name, version in zip(answer[::2], answer[1::2], strict=True)}
    return {**reads, **moved}


def _check_end(now: Standing, last: list[Line]) -> None:
    """The log ends where meta says, and its last entry follows the one before."""
    revision = now.head.revision
    if revision > now.oldest:
        is_there = bool(last) and last[0].revision == revision
        before = last[1].digest if len(last) > 1 else now.oldest_digest
        if revision == 1:
            before = GENESIS_DIGEST
        if not is_there or follow(Head(revision - 1, before), last[0]) != now.head:
            raise Corrupt("head", "the last entry is not the one that the store says it is", DAMAGED_HINT)
    elif last and last[0].revision > revision:
        raise Corrupt("head", f"there are entries after the last one, {revision}", DAMAGED_HINT)


def _version(stored: bytes) -> int:
    text = stored[: -MARK_BYTES - 1]
    return int(text) if text.isdigit() else -1


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(MARK_BYTES, "big")
