"""Resources as records, and records as resources.

Writing is exact and deterministic: the same resource at the same version is the same bytes, in every process. Reading
trusts nothing: whatever cannot be evaluated exactly as written raises `WireError`, and the record is refused alone.
"""

from __future__ import annotations

from sys import intern
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from google.protobuf.message import DecodeError

from rollout_sdk.engine.metrics import MetricDeclaration
from rollout_sdk.engine.model import DEFAULT_UNIT, Cohort, Flag, FlagState, RolloutState
from rollout_sdk.wire.condition_tree import ConditionReader, write_condition
from rollout_sdk.wire.flags import read_flag, write_flag
from rollout_sdk.wire.key_sets import read_key_set, write_key_set
from rollout_sdk.wire.metrics import read_metric, write_metric
from rollout_sdk.wire.records import RecordKind, WireError, WireRecord
from rollout_sdk.wire.rollouts import read_rollout, write_rollout
from rollout_sdk.wire.v1 import resources_pb2, ruleset_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Chunk

Resource: TypeAlias = Flag | Cohort | FlagState | RolloutState | MetricDeclaration
"""What one record says."""

_NO_CHUNKS: Mapping[bytes, Chunk] = MappingProxyType({})


def record_of_flag(flag: Flag, version: int) -> WireRecord:
    """Return the record of a valid flag."""
    return _record(RecordKind.FLAG, flag.key, version, write_flag(flag).SerializeToString(deterministic=True))


def record_of_cohort(cohort: Cohort, version: int) -> WireRecord:
    """Return the record of a valid cohort; the data of its chunks travels apart."""
    message = resources_pb2.Cohort(
        key=cohort.key,
        unit=cohort.unit,
        include=write_key_set(cohort.include),
        exclude=write_key_set(cohort.exclude),
        when=None if cohort.when is None else write_condition(cohort.when),
    )
    return _record(RecordKind.COHORT, cohort.key, version, message.SerializeToString(deterministic=True))


def record_of_state(state: FlagState, version: int) -> WireRecord:
    """Return the record of what verbs say of a flag."""
    message = ruleset_pb2.FlagState(flag=state.flag, killed=state.killed)
    return _record(RecordKind.FLAG_STATE, state.flag, version, message.SerializeToString(deterministic=True))


def record_of_rollout(state: RolloutState, version: int) -> WireRecord:
    """Return the record of where a rollout stands."""
    return _record(
        RecordKind.ROLLOUT, state.rollout, version, write_rollout(state).SerializeToString(deterministic=True)
    )


def record_of_metric(metric: MetricDeclaration, version: int) -> WireRecord:
    """Return the record of what processes may record."""
    return _record(RecordKind.METRIC, metric.key, version, write_metric(metric).SerializeToString(deterministic=True))


def _record(kind: RecordKind, key: str, version: int, payload: bytes) -> WireRecord:
    message = ruleset_pb2.Record(key=key, version=version, payload=payload)
    message.kind = ruleset_pb2.RecordKind.ValueType(kind)
    return WireRecord(kind, key, version, message.SerializeToString(deterministic=True))


def wire_record(message: ruleset_pb2.Record) -> WireRecord:
    """Return a record as it came, unread; its `data` is what the digest is taken over."""
    key = intern(message.key)
    return WireRecord(int(message.kind), key, message.version, message.SerializeToString(deterministic=True))


def decode_record(
    record: ruleset_pb2.Record | WireRecord, chunks: Mapping[bytes, Chunk] = _NO_CHUNKS
) -> Resource | None:
    """Return what a record says; None for a kind of record that a later release invented.

    Args:
        record: as received, or as kept.
        chunks: checked chunks by digest (`key_sets.read_chunk`), for cohorts.

    Raises:
        WireError: this release cannot evaluate it exactly as written.
    """
    try:
        message = ruleset_pb2.Record.FromString(record.data) if isinstance(record, WireRecord) else record
        return _decode(message, chunks)
    except DecodeError as error:
        raise WireError(f"the record of {record.key!r} is not protobuf: {error}") from None


def _decode(message: ruleset_pb2.Record, chunks: Mapping[bytes, Chunk]) -> Resource | None:
    match message.kind:
        case RecordKind.FLAG:
            flag = resources_pb2.Flag.FromString(message.payload)
            _same_key(message.key, flag.key)
            return read_flag(flag)
        case RecordKind.COHORT:
            cohort = resources_pb2.Cohort.FromString(message.payload)
            _same_key(message.key, cohort.key)
            return _read_cohort(cohort, chunks)
        case RecordKind.FLAG_STATE:
            state = ruleset_pb2.FlagState.FromString(message.payload)
            _same_key(message.key, state.flag)
            return FlagState(state.flag, state.killed)
        case RecordKind.ROLLOUT:
            rollout = ruleset_pb2.RolloutState.FromString(message.payload)
            _same_key(message.key, rollout.rollout)
            return read_rollout(rollout)
        case RecordKind.METRIC:
            metric = ruleset_pb2.Metric.FromString(message.payload)
            _same_key(message.key, metric.key)
            return read_metric(metric)
        case ruleset_pb2.RECORD_KIND_UNSPECIFIED:
            raise WireError(f"the record of {message.key!r} does not say what it is")
        case _:
            return None


def _same_key(record_key: str, payload_key: str) -> None:
    if not payload_key or record_key != payload_key:
        raise WireError(f"the record of {record_key!r} holds {payload_key!r}")


def _read_cohort(message: resources_pb2.Cohort, chunks: Mapping[bytes, Chunk]) -> Cohort:
    return Cohort(
        key=message.key,
        include=read_key_set(message.include, chunks, "include"),
        exclude=read_key_set(message.exclude, chunks, "exclude"),
        unit=message.unit or DEFAULT_UNIT,
        when=ConditionReader().read(message.when, "when") if message.HasField("when") else None,
    )


def chunk_digests(record: WireRecord) -> frozenset[bytes]:
    """Return the digests of all chunks that a cohort's record names; none if it does not parse that far."""
    try:
        cohort = resources_pb2.Cohort.FromString(ruleset_pb2.Record.FromString(record.data).payload)
    except DecodeError:
        return frozenset()
    return frozenset(cohort.include.chunks) | frozenset(cohort.exclude.chunks)


def required_flags(record: WireRecord) -> tuple[str, ...]:
    """Return the keys of the flags that a flag's record requires; none if it does not parse that far."""
    try:
        flag = resources_pb2.Flag.FromString(ruleset_pb2.Record.FromString(record.data).payload)
    except DecodeError:
        return ()
    return tuple(need.flag for need in flag.requires)
