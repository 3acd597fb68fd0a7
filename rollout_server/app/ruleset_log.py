"""One environment's records as they are sent, and what changed since any revision lately held.

A record's bytes follow from the resource at its version and nothing else, so that every replica, and this one after a
restart, sends the same bytes and continues where a client stands. Two things are left out of what is sent because their
absence says the same: the state of a flag that is not killed, and everything that only people read.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.wire.codec import (
    record_of_cohort,
    record_of_flag,
    record_of_metric,
    record_of_rollout,
    record_of_state,
)
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RecordKind, RulesetDigest, WireRecord
from rollout_server.domain.resources import Kind, ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rollout_sdk.engine.model import Chunk, Cohort, Position, Ruleset
    from rollout_server.domain.journal import Entry, State

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


class RulesetLog:
    """Records, tombstones and digests of one epoch. Costs what a revision changes, never what there is."""

    def __init__(self, state: State, ruleset: Ruleset, recent: Iterable[Entry] = ()) -> None:
        """Write every record of the ruleset.

        Args:
            state: whose ruleset it is; gives the versions.
            ruleset: at the state's position.
            recent: the newest entries up to the state's revision, ascending, without gaps; they tell what was deleted.
        """
        self.position: Position = state.position
        self.digest = RulesetDigest()
        self._records: OrderedDict[RecordId, WireRecord] = OrderedDict()  # by version, ascending
        self._tombstones: OrderedDict[RecordId, int] = OrderedDict()  # by revision of the deletion, ascending
        self._marks: OrderedDict[int, Mark] = OrderedDict()
        self._chunks: dict[bytes, _Referenced] = {}
        self._cohorts: dict[str, Cohort] = {}
        self._deltas: dict[int, tuple[Part, ...]] = {}
        self._snapshot: tuple[Part, ...] | None = None
        self._floor = state.position.revision
        for id_, resource in sorted(state.resources.items(), key=lambda item: (item[1].version, str(item[0]))):
            self._put(id_, resource.version, ruleset)
        self._remember(recent)
        self._marks[self.position.revision] = Mark(state.position.digest, self.digest.to_bytes(), state.at_ms)

    def advance(self, entry: Entry, state: State, ruleset: Ruleset) -> None:
        """Take over the next entry.

        Args:
            entry: follows `position`.
            state: after the entry.
            ruleset: of that state.
        """
        for change in entry.changes:
            if change.after is None:
                self._drop(change.id)
                self._bury(change.id, entry.revision)
            else:
                self._put(change.id, entry.revision, ruleset)
        self.position = state.position
        self._marks[entry.revision] = Mark(entry.digest, self.digest.to_bytes(), entry.at_ms)
        self._forget()
        self._deltas = {}
        self._snapshot = None

    def mark(self, revision: int) -> Mark | None:
        """Return what is remembered of a revision."""
        return self._marks.get(revision)

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
                self._snapshot = tuple(self._parts(0, *self._everything(), is_snapshot=True))
            return self._snapshot
        if held.revision == self.position.revision:
            return ()
        parts = self._deltas.get(held.revision)
        if parts is None:
            parts = tuple(self._parts(held.revision, *self._changed_since(held.revision), is_snapshot=False))
            if len(self._deltas) < _DELTAS_MAX:
                self._deltas[held.revision] = parts
        return parts

    def _everything(self) -> tuple[list[Chunk], list[WireRecord], list[RecordId]]:
        return [one.chunk for one in self._chunks.values()], list(self._records.values()), []

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
        cohorts = [self._cohorts[record.key] for record in records if record.kind == RecordKind.COHORT]
        digests = dict.fromkeys(chunk.digest for cohort in cohorts for chunk in _chunks_of(cohort))
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

    def _put(self, id_: ResourceId, version: int, ruleset: Ruleset) -> None:
        if id_.kind is Kind.FLAG:
            self._drop(id_)
            self._add(record_of_flag(ruleset.flags[id_.key], version))
            state = ruleset.states.get(id_.key)
            if state is not None and state.killed:
                self._add(record_of_state(state, version))
            for rollout in ruleset.rollouts.values():
                if rollout.flag == id_.key:  # it buckets what the flag says it does
                    self._put(ResourceId(Kind.ROLLOUT, rollout.rollout), version, ruleset)
        elif id_.kind is Kind.ROLLOUT:
            self._drop(id_)
            self._add(record_of_rollout(ruleset.rollouts[id_.key], version))
        elif id_.kind is Kind.METRIC:
            self._drop(id_)
            if id_.key in ruleset.metrics:
                self._add(record_of_metric(ruleset.metrics[id_.key], version))
            else:  # nothing that processes record, any more
                self._bury(id_, version)
        elif id_.kind is Kind.COHORT:
            cohort = ruleset.cohorts[id_.key]
            for chunk in _chunks_of(cohort):
                known = self._chunks.setdefault(chunk.digest, _Referenced(chunk, version))
                known.count += 1
            self._drop(id_)
            self._cohorts[id_.key] = cohort
            self._add(record_of_cohort(cohort, version))

    def _add(self, record: WireRecord) -> None:
        self._records[record.id] = record
        self._tombstones.pop(record.id, None)
        self.digest = self.digest.add(record.data)

    def _drop(self, id_: ResourceId) -> None:
        for record_id in _record_ids(id_):
            record = self._records.pop(record_id, None)
            if record is not None:
                self.digest = self.digest.remove(record.data)
        cohort = self._cohorts.pop(id_.key, None) if id_.kind is Kind.COHORT else None
        for chunk in _chunks_of(cohort) if cohort else ():
            known = self._chunks[chunk.digest]
            known.count -= 1
            if known.count == 0:
                del self._chunks[chunk.digest]

    def _bury(self, id_: ResourceId, revision: int) -> None:
        for record_id in _record_ids(id_):
            self._tombstones.pop(record_id, None)
            self._tombstones[record_id] = revision

    def _remember(self, recent: Iterable[Entry]) -> None:
        """Learn digests and deletions from entries that were committed before this process came."""
        for number, entry in enumerate(recent):
            if number == 0:
                self._floor = entry.revision
            self._marks[entry.revision] = Mark(entry.digest, b"", entry.at_ms)
            for change in entry.changes:
                if change.after is None and not any(id_ in self._records for id_ in _record_ids(change.id)):
                    self._bury(change.id, entry.revision)
        self._forget()

    def _forget(self) -> None:
        while len(self._marks) > HISTORY_MAX:
            self._marks.popitem(last=False)
            self._floor = max(self._floor, next(iter(self._marks)))
        while len(self._tombstones) > HISTORY_MAX:
            _, buried = self._tombstones.popitem(last=False)
            self._floor = max(self._floor, buried)


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


def _chunks_of(cohort: Cohort) -> tuple[Chunk, ...]:
    return (*cohort.include.chunks, *cohort.exclude.chunks)


def _record_ids(id_: ResourceId) -> tuple[RecordId, ...]:
    """Name what is sent of a resource; most kinds decide nothing and are sent to nobody."""
    match id_.kind:
        case Kind.FLAG:
            return (RecordKind.FLAG, id_.key), (RecordKind.FLAG_STATE, id_.key)
        case Kind.COHORT:
            return ((RecordKind.COHORT, id_.key),)
        case Kind.ROLLOUT:
            return ((RecordKind.ROLLOUT, id_.key),)
        case Kind.METRIC:
            return ((RecordKind.METRIC, id_.key),)
        case _:
            return ()
