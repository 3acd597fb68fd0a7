"""A process's first ruleset decides before all of it is read: until that is done, a flag is read when it is asked for.

Nothing is in force before a first ruleset, so there is nothing to go back to, and nothing but records to look at. What
one flag names is worked out alone, by the very code that works out the whole (`held.work_out`), so it decides the same
before and after. Cohorts, metrics, rollouts and the flags that these move are few and are read at once; a flag's kill
is read with the flag. What the server is told, and what is written to disk, waits for the whole.

There is no lock: two threads that ask for a flag at once both work it out, and one of the two stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rollout_sdk.engine.model import RolloutState
from rollout_sdk.held import work_out
from rollout_sdk.wire.codec import required_flags
from rollout_sdk.wire.messages import Part, Quarantined
from rollout_sdk.wire.records import RecordKind, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.compiled import CompiledFlag
    from rollout_sdk.engine.metrics import MetricDeclaration
    from rollout_sdk.engine.model import Position
    from rollout_sdk.held import Held, Id
    from rollout_sdk.wire.records import WireRecord

FLAGS_MIN: Final = 256
"""Fewer are read whole, within some 20 ms."""
UNREAD_PER_READ: Final = 16
"""A flag asked for costs time for each record read at once (3 us each), so each of these must spare many others."""
SLICE_FLAGS: Final = 128
"""Who wants all flags reads so many in one go; others who want that too take other slices meanwhile."""
STACK_CALLS: Final = 128
"""The deepest flag that is read takes some 90 calls in calls."""


def preview(parts: Sequence[Part]) -> Preview | None:
    """Return what decides until a first ruleset is read; None where that is not worth it, or anything looks odd.

    Args:
        parts: of a snapshot, in order, the last one with `more` false.
    """
    last = parts[-1]
    records = {record.id: record for part in parts for record in part.records}
    flags = {key: record for (kind, key), record in records.items() if kind == RecordKind.FLAG}
    if len(flags) < FLAGS_MIN or not last.snapshot or any(part.removed for part in parts):
        return None
    if digest_of(records.values()).to_bytes() != last.ruleset_digest:
        return None
    with_flag = (RecordKind.FLAG, RecordKind.FLAG_STATE)  # the state of no flag would never be asked for
    at_once = [record for (kind, key), record in records.items() if kind not in with_flag or key not in flags]
    if len(at_once) * UNREAD_PER_READ > len(flags):
        return None
    chunks = tuple(chunk for part in parts for chunk in part.chunks)
    base = work_out(None, [replace(last, chunks=chunks, records=tuple(at_once))])
    moved = [model.flag for model in base.models.values() if isinstance(model, RolloutState) and model.reaches]
    unread = _Unread(base, records)
    with_them = unread.needed_by(moved)
    if (len(at_once) + len(with_them)) * UNREAD_PER_READ > len(flags):
        return None
    if any(b"regex" in record.data for record in flags.values()):
        _load_regex()
    return Preview(_Unread(_and(base, with_them), records))


def _load_regex() -> None:
    """Import what compiles expressions: a decision must not wait for the disk."""
    with suppress(ImportError):
        import re2  # noqa: F401


def _and(base: Held, records: Iterable[WireRecord]) -> Held:
    """Return what is held with some more of the records."""
    return work_out(base, [Part(False, base.position.revision, base.position, b"", records=tuple(records))])


def _call(calls: int) -> None:
    """Raise RecursionError where the stack has no room for so many calls in calls.

    Asked before a flag is read: in the middle of it that error would be taken for a fault of the flag's.
    """
    if calls:
        _call(calls - 1)


class Preview:
    """Stands where a `Held` will stand when it is worked out.

    Attributes:
        compiled: its flags are read when asked for.
        counted: the flags that rollouts move, read at once.
    """

    def __init__(self, unread: _Unread) -> None:
        base = unread.base
        self.position: Position = base.position
        self.metrics: dict[str, MetricDeclaration] = base.metrics
        self.counted: Mapping[str, CompiledFlag] = base.compiled.flags
        self.compiled: CompiledRuleset = replace(
            base.compiled, flags=unread, quarantined=unread.uncompiled, versions=unread.versions
        )
        self._unread = unread

    @property
    def keys(self) -> frozenset[str]:
        """Of all its flags, good or bad."""
        return frozenset(self._unread.keys_sent)

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Those that are known already."""
        return tuple(self._unread.quarantined.values())


class _Unread(Mapping[str, "CompiledFlag"]):
    """The flags in force by key, worked out when looked at. Safe to share between threads and to copy by a fork.

    Attributes:
        base: what was read at once.
        keys_sent: of all flags, good or bad.
        quarantined: the flags found bad, as the server will be told.
        uncompiled: those of them that the compiler refused, and why.
        versions: of those that could be read.
    """

    def __init__(self, base: Held, records: Mapping[Id, WireRecord]) -> None:
        self.base = base
        self.keys_sent = keys = [key for kind, key in records if kind == RecordKind.FLAG]
        self.quarantined: dict[str, Quarantined] = {}
        self.uncompiled: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self._records = records
        self._slices = [keys[start : start + SLICE_FLAGS] for start in range(0, len(keys), SLICE_FLAGS)]
        self._untaken = self._slices[::-1]
        self._known: dict[str, CompiledFlag | None] = {}
        self._take(base)

    def __getitem__(self, key: str) -> CompiledFlag:
        """Return a flag in force.

        Raises:
            KeyError: there is none, or its rules are bad.
            RecursionError: too little is left of the caller's stack to read it; nothing is concluded from that.
        """
        if (RecordKind.FLAG, key) in self._records:
            self._read([key])
        found = self._known.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        """Read what is left, and yield the flags in force. Threads that do so at once share the work."""
        with suppress(IndexError):
            while True:
                self._read(self._untaken.pop())
        for keys in self._slices:  # what others have taken and not finished, in this process or before a fork
            self._read(keys)
        return iter([key for key in self.keys_sent if self._known.get(key) is not None])

    def __len__(self) -> int:
        """Return how many are in force; reads all."""
        return sum(1 for _ in self)

    def _read(self, keys: Iterable[str]) -> None:
        left = [key for key in keys if key not in self._known]
        if not left:
            return
        _call(STACK_CALLS)
        self._take(_and(self.base, self.needed_by(left)))
        for key in left:
            self._known.setdefault(key, None)

    def _take(self, held: Held) -> None:
        self.quarantined.update((each.flag, each) for each in held.quarantined)
        self.uncompiled.update(held.compiled.quarantined)
        self.versions.update(held.compiled.versions)
        for key, flag in held.compiled.flags.items():
            self._known.setdefault(key, flag)

    def needed_by(self, keys: Iterable[str]) -> list[WireRecord]:
        """Return the records of these flags, of all flags that they require, and of what verbs say of them."""
        found: dict[Id, WireRecord] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            id_ = (RecordKind.FLAG, key)
            record = self._records.get(id_)
            if record is None or id_ in found:
                continue
            found[id_] = record
            state = self._records.get((RecordKind.FLAG_STATE, key))
            if state is not None:
                found[state.id] = state
            waiting += required_flags(record)
        return list(found.values())
