"""What one client holds at one position, and how the next is worked out from it. Pure but for the bytes it reads.

The law here: one bad record harms one resource. A flag whose record cannot be read, does not compile, or uses a cohort
that was refused keeps its last good rules; what verbs say of it (kill, a rollout's state) acts on those all the same. A
rollout's state that cannot be put in force leaves the last good one there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.compile import at_once, compile_ruleset
from rollout_sdk.engine.dependencies import references, rollouts_of_flag
from rollout_sdk.engine.metrics import MetricDeclaration
from rollout_sdk.engine.model import Cohort, Flag, FlagState, RolloutState, Ruleset
from rollout_sdk.wire.codec import Resource, chunk_digests, decode_record
from rollout_sdk.wire.key_sets import read_chunk
from rollout_sdk.wire.messages import Quarantined
from rollout_sdk.wire.records import RecordKind, RulesetDigest, WireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rollout_sdk.engine.compile import Breathe, CompiledRuleset
    from rollout_sdk.engine.compiled import CompiledFlag
    from rollout_sdk.engine.dependencies import Node
    from rollout_sdk.engine.model import Chunk, Position
    from rollout_sdk.engine.rules import FlagRules
    from rollout_sdk.wire.messages import Part
    from rollout_sdk.wire.records import WireRecord

Id: TypeAlias = tuple[int, str]
"""Kind and key of a record."""

_RECORD_KINDS = {"flag": RecordKind.FLAG, "cohort": RecordKind.COHORT, "rollout": RecordKind.ROLLOUT}


@dataclass(frozen=True, slots=True)
class Held:
    """Everything at one position.

    Attributes:
        compiled: the flags in force.
        records: as sent, in force or not.
        models: the last readable ones, by kind and key.
        good: where the record as sent is not in force, the record behind the model that is.
        refused: why a record as sent is not in force.
        quarantined: the same for the server, by flag.
    """

    position: Position
    compiled: CompiledRuleset
    digest: RulesetDigest
    records: Mapping[Id, WireRecord]
    models: Mapping[Id, Resource]
    good: Mapping[Id, WireRecord]
    refused: Mapping[Id, str]
    chunks: Mapping[bytes, Chunk]
    quarantined: tuple[Quarantined, ...]

    @property
    def metrics(self) -> dict[str, MetricDeclaration]:
        """What may be recorded here, by key."""
        return {model.key: model for model in self.models.values() if isinstance(model, MetricDeclaration)}

    @property
    def counted(self) -> Mapping[str, CompiledFlag]:
        """The flags among which are all that rollouts move."""
        return self.compiled.flags


def work_out(held: Held | None, parts: Sequence[Part], breathe: Breathe = at_once) -> Held:
    """Return what is held after all parts of one update. Never raises for what the parts hold.

    Args:
        held: what is in force now; a snapshot takes from it only the last good rules of flags that it cannot read.
        parts: in order, the last one with `more` false.
        breathe: called after each record and each flag, for work of many can take long.
    """
    work = _Work(held, parts, breathe)
    work.read()
    work.hold_back_users_of_refused_cohorts()
    return work.finish()


class _Work:
    """The next state while it is being made; seen by nobody else."""

    def __init__(self, held: Held | None, parts: Sequence[Part], breathe: Breathe) -> None:
        self._held = held
        self._breathe = breathe
        self._position = parts[-1].position
        self._records = dict(held.records) if held and not parts[-1].snapshot else {}
        self._models = dict(held.models) if held else {}
        self._good = dict(held.good) if held else {}
        self._refused = dict(held.refused) if held else {}
        self._chunks = dict(held.chunks) if held else {}
        for part in parts:
            for id_ in part.removed:
                self._records.pop(id_, None)
            self._records.update((record.id, record) for record in part.records)
            for digest, data in part.chunks:
                self._take_chunk(digest, data)
        self._digest = _digest(held, self._records)

    def _take_chunk(self, digest: bytes, data: bytes) -> None:
        with suppress(WireError):  # the cohorts that name a broken chunk are refused for missing it
            self._chunks[digest] = read_chunk(digest, data)

    def read(self) -> None:
        """Read every record that is new, changed, or was refused before."""
        before = self._held.records if self._held else {}
        for id_ in before.keys() - self._records.keys():
            for kept in (self._models, self._good, self._refused):
                kept.pop(id_, None)
        for id_, record in self._records.items():
            old = before.get(id_)
            if old is None or old.data != record.data or id_ in self._refused:
                self._read(id_, record)
                self._breathe()

    def _read(self, id_: Id, record: WireRecord) -> None:
        try:
            model = decode_record(record, self._chunks)
        except WireError as error:
            self._hold_back(id_, str(error))
            return
        self._refused.pop(id_, None)
        if model is not None:
            self._models[id_] = model
        self._good.pop(id_, None)

    def _hold_back(self, id_: Id, reason: str) -> None:
        """Leave the last good model of a record in force, if it has one."""
        self._refused[id_] = reason
        held = self._held
        model = held.models.get(id_) if held else None
        if held is None or model is None:
            self._models.pop(id_, None)
            self._good.pop(id_, None)
            return
        self._models[id_] = model
        self._good[id_] = held.good.get(id_) or held.records[id_]

    def hold_back_users_of_refused_cohorts(self) -> None:
        """A cohort and what uses it come into force together or not at all.

        A flag and a rollout come apart: the flag's last good rules follow the rollout's new state.
        """
        refused = {("cohort", key) for kind, key in self._refused if kind == RecordKind.COHORT}
        if not refused:
            return
        named = references(*_by_kind(self._models))
        for kind, key in users_of(refused, {node: [to for to in named[node] if to[0] == "cohort"] for node in named}):
            id_ = (_RECORD_KINDS[kind], key)
            if id_ in self._models and id_ not in self._refused:
                self._hold_back(id_, "it uses a cohort that is refused")

    def finish(self) -> Held:
        """Compile. What does not compile is refused too; the compiler itself keeps the rules it had for it."""
        compiled = self._compile()
        for key, reason in compiled.quarantined.items():
            self._refused.setdefault((RecordKind.FLAG, key), reason)
        for key, reason in compiled.held_back.items():
            self._refused.setdefault((RecordKind.ROLLOUT, key), reason)
        if self._held is not None:
            self._remember_sources(self._held, compiled)
        return Held(
            position=self._position,
            compiled=compiled,
            digest=self._digest,
            records=MappingProxyType(self._records),
            models=MappingProxyType(self._models),
            good=MappingProxyType(self._good),
            refused=MappingProxyType(self._refused),
            chunks=MappingProxyType(self._wanted_chunks()),
            quarantined=self._quarantined(),
        )

    def _remember_sources(self, held: Held, compiled: CompiledRuleset) -> None:
        """Keep the record behind what stays in force although its record was replaced; the disk needs it."""
        for id_ in self._refused:
            before, now = _in_force(id_, held.compiled), _in_force(id_, compiled)
            if before is not None and before is now:
                self._good[id_] = held.good.get(id_) or held.records[id_]

    def _compile(self) -> CompiledRuleset:
        flags, cohorts, rollouts = _by_kind(self._models)
        states = {model.flag: model for model in self._models.values() if isinstance(model, FlagState)}
        records = {key: self._good.get((RecordKind.FLAG, key)) or self._records[RecordKind.FLAG, key] for key in flags}
        versions = {key: record.version for key, record in records.items()}
        ruleset = Ruleset(self._position, flags, cohorts, states, versions, rollouts)
        return compile_ruleset(ruleset, self._held.compiled if self._held else None, self._breathe)

    def _quarantined(self) -> tuple[Quarantined, ...]:
        """Flags whose rules, state or rollouts are not what was sent. Sorted, one entry a flag."""
        found: dict[str, Quarantined] = {}
        for id_, reason in sorted(self._refused.items(), reverse=True):
            kind, key = id_
            version = self._records[id_].version
            if kind == RecordKind.FLAG:
                found[key] = Quarantined(key, version, reason)
            elif kind == RecordKind.FLAG_STATE:
                found[key] = Quarantined(key, version, f"its state: {reason}")
            elif kind == RecordKind.ROLLOUT:
                for flag in self._named_by(key):
                    found[flag] = Quarantined(flag, version, f"rollout {key}: {reason}")
        return tuple(found[key] for key in sorted(found))

    def _named_by(self, rollout: str) -> Iterator[str]:
        """Yield the flags whose rules, as far as they can be read, name a rollout."""
        for model in self._models.values():
            if isinstance(model, Flag) and rollout in rollouts_of_flag(model):
                yield model.key

    def _wanted_chunks(self) -> dict[bytes, Chunk]:
        if not self._chunks:
            return {}
        wanted: set[bytes] = set()
        for id_, record in self._records.items():
            if id_[0] == RecordKind.COHORT:
                wanted |= chunk_digests(record)
        for model in self._models.values():
            if isinstance(model, Cohort):
                wanted.update(chunk.digest for keys in (model.include, model.exclude) for chunk in keys.chunks)
        return {digest: chunk for digest, chunk in self._chunks.items() if digest in wanted}


def changed_flags(before: Held | None, after: Held) -> frozenset[str]:
    """Return the flags whose decisions may differ between two positions, deleted ones included."""
    old = before.compiled.flags if before else {}
    new = after.compiled.flags
    return frozenset(key for key in old.keys() | new.keys() if _rules(old.get(key)) is not _rules(new.get(key)))


def _rules(flag: CompiledFlag | None) -> FlagRules | None:
    return flag.rules if flag else None


def users_of(start: Iterable[Node], named: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Return `start` and all that names it, over any number of steps."""
    users: dict[Node, list[Node]] = {}
    for node, names in named.items():
        for name in names:
            users.setdefault(name, []).append(node)
    found = set(start)
    waiting = list(found)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in found:
                found.add(user)
                waiting.append(user)
    return found


def _by_kind(
    models: Mapping[Id, Resource],
) -> tuple[dict[str, Flag], dict[str, Cohort], dict[str, RolloutState]]:
    flags = {model.key: model for model in models.values() if isinstance(model, Flag)}
    cohorts = {model.key: model for model in models.values() if isinstance(model, Cohort)}
    rollouts = {model.rollout: model for model in models.values() if isinstance(model, RolloutState)}
    return flags, cohorts, rollouts


def _in_force(id_: Id, compiled: CompiledRuleset) -> Flag | RolloutState | None:
    """Return the rules of a flag or the state of a rollout as they decide."""
    kind, key = id_
    if kind == RecordKind.FLAG:
        return compiled.flags[key].flag if key in compiled.flags else None
    if kind == RecordKind.ROLLOUT:
        return compiled.rollouts[key].state if key in compiled.rollouts else None
    return None


def _digest(held: Held | None, records: Mapping[Id, WireRecord]) -> RulesetDigest:
    """Only what changed is hashed anew."""
    before = held.records if held else {}
    digest = held.digest if held else RulesetDigest()
    for id_, old in before.items():
        now = records.get(id_)
        if now is None or now.data != old.data:
            digest = digest.remove(old.data)
    for id_, record in records.items():
        was = before.get(id_)
        if was is None or was.data != record.data:
            digest = digest.add(record.data)
    return digest
