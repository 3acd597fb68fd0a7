"""The rules of a test, revision by revision: an environment without a server around it.

What it says goes through the wire's own writer and reader, so that a test decides by what a process would receive.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from rollout_sdk.engine.metrics import MetricDeclaration
from rollout_sdk.engine.model import PPM, Cohort, Flag, FlagState, Position, Reach, RolloutState
from rollout_sdk.engine.sameness import same
from rollout_sdk.testing.values import flag_of
from rollout_sdk.wire.codec import (
    decode_record,
    record_of_cohort,
    record_of_flag,
    record_of_metric,
    record_of_rollout,
    record_of_state,
)
from rollout_sdk.wire.key_sets import read_chunk
from rollout_sdk.wire.messages import Bookmark, Part
from rollout_sdk.wire.records import RecordKind, RulesetDigest
from rollout_sdk.wire.snapshot import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.model import Json
    from rollout_sdk.wire.codec import Resource
    from rollout_sdk.wire.records import WireRecord

EPOCH: Final = "testing"

_Id = tuple[int, str]
_Known = TypeVar("_Known", Flag, RolloutState)


class Board:
    """What is in force, and how it came to be. May be changed and read from any thread.

    Attributes:
        changed: notified with every revision; its lock guards all that is here.
    """

    def __init__(self, epoch: str = EPOCH) -> None:
        """Begin at revision 0, without flags."""
        self.changed = threading.Condition(threading.RLock())
        self._epoch = epoch
        self._models: dict[_Id, Resource] = {}
        self._records: dict[_Id, WireRecord] = {}
        self._loaded: dict[_Id, Resource | None] = {}
        self._removed: dict[_Id, int] = {}
        self._chunks: dict[bytes, bytes] = {}
        self._history = [self._position(0)]

    @property
    def position(self) -> Position:
        """The newest revision."""
        return self._history[-1]

    # -------------------------------------------------------------------------------------------------------- changes

    def set(self, values: Mapping[str, Json]) -> int:
        """Serve these values to everybody; other flags stay. Returns the revision.

        Raises:
            ValueError: a value is none that JSON knows.
        """
        return self._put([flag_of(key, value) for key, value in values.items()])

    def load(self, snapshot: bytes) -> int:
        """Add what a snapshot says otherwise than the one before; all else stays. Returns the revision."""
        unpacked = unpack(snapshot)
        chunks = {digest: read_chunk(digest, data) for digest, data in unpacked.chunks}
        models = [decode_record(record, chunks) for record in unpacked.records]
        with self.changed:
            self._chunks.update(unpacked.chunks)
            before, self._loaded = self._loaded, dict(zip((one.id for one in unpacked.records), models, strict=True))
            new = [model for id_, model in self._loaded.items() if not same(before.get(id_), model)]
            return self._put([model for model in new if model is not None])

    def kill(self, flag: str, *, killed: bool = True) -> int:
        """Serve a flag's `off` to everybody, or no more so. Returns the revision.

        Raises:
            LookupError: there is no such flag.
        """
        self._known(RecordKind.FLAG, flag, Flag)
        return self._put([FlagState(flag, killed=killed)])

    def expose(self, rollout: str, share_ppm: int, stage: str) -> int:
        """Expose a share of everybody by a rollout, in its first run. Returns the revision.

        Raises:
            LookupError: there is no such rollout.
            ValueError: the share is not between 0 and 1,000,000.
        """
        state = self._known(RecordKind.ROLLOUT, rollout, RolloutState)
        if not 0 <= share_ppm <= PPM:
            raise ValueError(f"share_ppm is {share_ppm}; a share has 0 to {PPM:,} parts per million")
        reaches = (Reach(stage, share_ppm),) if share_ppm else ()
        allocation = state.allocation + 1
        return self._put([replace(state, run=max(1, state.run), reaches=reaches, allocation=allocation, stage=stage)])

    def remove(self, flags: Iterable[str]) -> int:
        """Delete flags. Returns the revision."""
        with self.changed:
            position = self._next()
            for key in flags:
                for id_ in ((RecordKind.FLAG, key), (RecordKind.FLAG_STATE, key)):
                    if self._records.pop(id_, None) is not None:
                        del self._models[id_]
                        self._removed[id_] = position.revision
            return self._publish(position)

    def _known(self, kind: RecordKind, key: str, type_: type[_Known]) -> _Known:
        model = self._models.get((kind, key))
        if not isinstance(model, type_):
            names = ", ".join(sorted(each for of, each in self._models if of == kind)) or "none"
            raise LookupError(f"there is no {kind.name.lower()} {key!r} here; there is: {names}")  # noqa: TRY004 - it is not there
        return model

    def _put(self, models: Iterable[Resource]) -> int:
        with self.changed:
            position = self._next()
            for model in models:
                record = _record(model, position.revision)
                if not same(self._models.get(record.id), model):
                    self._models[record.id], self._records[record.id] = model, record
                    self._removed.pop(record.id, None)
            return self._publish(position)

    def _next(self) -> Position:
        return self._position(self.position.revision + 1)

    def _publish(self, position: Position) -> int:
        self._history.append(position)
        self.changed.notify_all()
        return position.revision

    def _position(self, revision: int) -> Position:
        return Position(self._epoch, revision, sha256(f"{self._epoch}:{revision}".encode()).digest())

    # -------------------------------------------------------------------------------------------------------- reading

    def holds(self, position: Position) -> bool:
        """Whether a position is one of this history."""
        with self.changed:
            return position.revision < len(self._history) and self._history[position.revision] == position

    def part_since(self, position: Position | None) -> Part:
        """Return what leads from a position of this history to the newest; from None, all there is."""
        with self.changed:
            base = -1 if position is None else position.revision
            chunks = self._chunks if position is None or self._new_cohorts(base) else {}
            return Part(
                snapshot=position is None,
                base_revision=max(0, base),
                position=self.position,
                ruleset_digest=self._digest(),
                chunks=tuple(chunks.items()),
                records=tuple(record for record in self._records.values() if record.version > base),
                removed=tuple(id_ for id_, revision in self._removed.items() if position and revision > base),
            )

    def bookmark(self) -> Bookmark:
        """Return where this stands."""
        with self.changed:
            return Bookmark(self.position, self._digest())

    def _new_cohorts(self, base: int) -> bool:
        return any(record.version > base for (kind, _), record in self._records.items() if kind == RecordKind.COHORT)

    def _digest(self) -> bytes:
        digest = RulesetDigest()
        for record in self._records.values():
            digest = digest.add(record.data)
        return digest.to_bytes()


def _record(model: Resource, version: int) -> WireRecord:
    match model:
        case Flag():
            return record_of_flag(model, version)
        case Cohort():
            return record_of_cohort(model, version)
        case FlagState():
            return record_of_state(model, version)
        case RolloutState():
            return record_of_rollout(model, version)
        case MetricDeclaration():
            return record_of_metric(model, version)
