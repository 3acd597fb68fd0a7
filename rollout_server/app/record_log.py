"""The records of one history as they are sent, and what changed since any revision lately held.

Whoever has the records puts them in: a server with a store makes them of its resources (`ruleset_log`), a relay was
sent them (`relayed`). From here on both are the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RecordKind, RulesetDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rollout_sdk.engine.model import Chunk, Position
    from rollout_sdk.wire.records import WireRecord

T = TypeVar("T")

PART_BYTES = 64 * 1024
"""About this much in one message: what a reader that never reads can make this server hold for it."""

HISTORY_MAX = 10_000
"""Revisions, and tombstones, that are remembered for clients that come back; older ones get a snapshot."""

_DELTAS_MAX = 256
_CHUNK_OVERHEAD_BYTES = 48
_RECORD_OVERHEAD_BYTES = 8

RecordId = tuple[int, str]


class Standing(Enum):
    """What a position that a client holds is to this history."""

    HERE = "here"
    TOO_OLD = "too_old"
    ELSEWHERE = "elsewhere"
    """Of another epoch, or none at all."""
    LOST = "lost"
    """Of this epoch and not in this history: it was, and this history lost it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One revision of this history.

    Attributes:
        digest: head of the journal's hash chain.
        ruleset_digest: empty where this process did not see the revision come.
        at_ms: when it was committed, Unix epoch, UTC.
    """

    digest: bytes
    ruleset_digest: bytes
    at_ms: int


class RecordLog:
    """Records, tombstones and digests of one epoch. Costs what a revision changes, never what there is.

    Attributes:
        position: where everything that was put in leads to; `stand` moves it.
        digest: of the records.
    """

    def __init__(self, position: Position) -> None:
        """Begin without records; whoever stood before this position gets a snapshot."""
        self.position = position
        self.digest = RulesetDigest()
        self._records: OrderedDict[RecordId, WireRecord] = OrderedDict()  # by version, ascending
        self._tombstones: OrderedDict[RecordId, int] = OrderedDict()  # by revision of the deletion, ascending
        self._marks: OrderedDict[int, Mark] = OrderedDict()
        self._chunks: dict[bytes, _Referenced] = {}
        self._named: dict[RecordId, tuple[Chunk, ...]] = {}
        self._deltas: dict[int, tuple[Part, ...]] = {}
        self._snapshot: tuple[Part, ...] | None = None
        self._floor = position.revision

    def put(self, record: WireRecord, since: int, chunks: tuple[Chunk, ...] = ()) -> None:
        """Put a record in, in place of the one with its id.

        Args:
            record: of a version not before any that was put in.
            since: revision that this is part of.
            chunks: that the record names; each as often as it names it.
        """
        for chunk in chunks:  # before the old ones go: what stays was known all the time
            known = self._chunks.setdefault(chunk.digest, _Referenced(chunk, since))
            known.count += 1
        self.drop(record.id)
        if chunks:
            self._named[record.id] = chunks
        self._records[record.id] = record
        self._tombstones.pop(record.id, None)
        self.digest = self.digest.add(record.data)

    def drop(self, id_: RecordId) -> None:
        """Take a record out, if there is one, as if it had never been."""
        record = self._records.pop(id_, None)
        if record is not None:
            self.digest = self.digest.remove(record.data)
        for chunk in self._named.pop(id_, ()):
            known = self._chunks[chunk.digest]
            known.count -= 1
            if known.count == 0:
                del self._chunks[chunk.digest]

    def bury(self, id_: RecordId, revision: int) -> None:
        """Tell whoever stood before this revision that there is no such record any more."""
        self._tombstones.pop(id_, None)
        self._tombstones[id_] = revision

    def stand(self, position: Position, at_ms: int) -> None:
        """Everything of a revision was put in: lead to it from now on.

        Args:
            position: in this epoch, not before the present one.
            at_ms: when it was committed.
        """
        self.position = position
        self.remember(position.revision, Mark(position.digest, self.digest.to_bytes(), at_ms))
        self._deltas = {}
        self._snapshot = None

    def remember(self, revision: int, mark: Mark) -> None:
        """Know a revision again when a client holds it; older ones are forgotten where there are too many."""
        self._marks[revision] = mark
        while len(self._marks) > HISTORY_MAX:
            self._marks.popitem(last=False)
            self._floor = max(self._floor, next(iter(self._marks)))
        while len(self._tombstones) > HISTORY_MAX:
            _, buried = self._tombstones.popitem(last=False)
            self._floor = max(self._floor, buried)

    def reach_back(self, revision: int) -> None:
        """Lead by deltas from this revision on: all that happened since is known."""
        self._floor = revision

    def record(self, id_: RecordId) -> WireRecord | None:
        """Return the record with this id."""
        return self._records.get(id_)

    def chunk(self, digest: bytes) -> Chunk | None:
        """Return a chunk that some record names."""
        known = self._chunks.get(digest)
        return known.chunk if known else None

    def mark(self, revision: int) -> Mark | None:
        """Return what is remembered of a revision."""
        return self._marks.get(revision)

    def everything(self) -> tuple[list[Chunk], list[WireRecord]]:
        """Return all chunks, each once, and all records by version."""
        return [one.chunk for one in self._chunks.values()], list(self._records.values())

    def standing(self, held: Position | None) -> Standing:
        """Say what a position is to this history."""
        if held is None or held.epoch != self.position.epoch:
            return Standing.ELSEWHERE
        if held.revision > self.position.revision:
            return Standing.LOST
        mark = self._marks.get(held.revision)
        if mark is None or held.revision < self._floor:
            return Standing.TOO_OLD
        return Standing.HERE if mark.digest == held.digest else Standing.LOST

    def parts_since(self, held: Position | None) -> tuple[Part, ...]:
        """Return what leads from a position to `position`; nothing where it is the same.

        A delta where the position stands here, else a snapshot. The parts are shared: whoever asks for the same way
        gets the same objects until the next revision.
        """
        if held is None or self.standing(held) is not Standing.HERE:
            if self._snapshot is None:
                self._snapshot = tuple(self._parts(0, *self.everything(), [], is_snapshot=True))
            return self._snapshot
        if held.revision == self.position.revision:
            return ()
        parts = self._deltas.get(held.revision)
        if parts is None:
            parts = tuple(self._parts(held.revision, *self._changed_since(held.revision), is_snapshot=False))
            if len(self._deltas) < _DELTAS_MAX:
                self._deltas[held.revision] = parts
        return parts

    def _changed_since(self, revision: int) -> tuple[list[Chunk], list[WireRecord], list[RecordId]]:
        records: list[WireRecord] = []
        for record in reversed(self._records.values()):
            if record.version <= revision:
                break
            records.append(record)
        removed: list[RecordId] = []
        for id_, buried in reversed(self._tombstones.items()):
            if buried <= revision:
                break
            removed.append(id_)
        # A kill that was lifted leaves no record; whoever gets the flag anew is told that nothing is said of it.
        removed.extend(
            (RecordKind.FLAG_STATE, record.key)
            for record in records
            if record.kind == RecordKind.FLAG and (RecordKind.FLAG_STATE, record.key) not in self._records
        )
        records.reverse()
        digests = dict.fromkeys(chunk.digest for record in records for chunk in self._named.get(record.id, ()))
        chunks = [self._chunks[digest] for digest in digests]
        return [one.chunk for one in chunks if one.since > revision], records, list(dict.fromkeys(removed))

    def _parts(
        self,
        base_revision: int,
        chunks: list[Chunk],
        records: list[WireRecord],
        removed: list[RecordId],
        *,
        is_snapshot: bool,
    ) -> Iterator[Part]:
        """Cut into parts of about `PART_BYTES`; chunks come before the records that name them."""
        part = Part(
            is_snapshot, base_revision, self.position, self.digest.to_bytes(), removed=tuple(removed), more=True
        )
        for few in _batches(chunks, lambda chunk: len(chunk.data) + _CHUNK_OVERHEAD_BYTES):
            yield replace(part, chunks=tuple((chunk.digest, chunk.data) for chunk in few))
            part = replace(part, removed=())
        batches = list(_batches(records, lambda record: len(record.data) + _RECORD_OVERHEAD_BYTES)) or [[]]
        for number, batch in enumerate(batches, start=1):
            yield replace(part, records=tuple(batch), more=number < len(batches))
            part = replace(part, removed=())


@dataclass(slots=True)
class _Referenced:
    """A chunk in use: by how many key sets, and since which revision without a break."""

    chunk: Chunk
    since: int
    count: int = 0


def _batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Group items, in order, into batches of about `PART_BYTES`; one that is larger is alone."""
    batch: list[T] = []
    size_bytes = 0
    for item in items:
        item_bytes = size_of(item)
        if batch and size_bytes + item_bytes > PART_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(item)
        size_bytes += item_bytes
    if batch:
        yield batch
