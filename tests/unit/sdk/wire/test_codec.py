"""Resources as records, and records as resources."""

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Cohort, FlagState, Leaf, Reach
from rollout_sdk.wire.codec import (
    chunk_digests,
    decode_record,
    record_of_cohort,
    record_of_flag,
    record_of_rollout,
    record_of_state,
    wire_record,
)
from rollout_sdk.wire.records import RecordKind, WireError, WireRecord
from rollout_sdk.wire.v1 import ruleset_pb2
from tests.small_rules import cohort, full, rollout


def test_what_is_written_is_read_back() -> None:
    """Flags, cohorts, states and rollouts survive the journey."""
    state = rollout("x", "full", Reach("canary", 5))
    assert decode_record(record_of_rollout(state, 7)) == state
    members = replace(cohort("staff", "u-1", "u-2"), when=Leaf("email", "ends_with", "@example.com"))
    chunks = {chunk.digest: chunk for chunk in members.include.chunks}
    assert decode_record(record_of_flag(full(), 7)) == full()
    assert decode_record(record_of_cohort(members, 7), chunks) == members
    assert decode_record(record_of_state(FlagState("full", killed=True), 7)) == FlagState("full", killed=True)


def test_the_same_resource_is_the_same_bytes() -> None:
    """The digest is taken over bytes, so writing must not wander."""
    assert record_of_flag(full(), 7) == record_of_flag(full(), 7)
    assert record_of_flag(full(), 7).data != record_of_flag(full(), 8).data


def test_a_record_passes_through_unread() -> None:
    """As sent means as sent, fields of later releases included."""
    record = record_of_flag(full(), 7)
    later = ruleset_pb2.Record.FromString(record.data + b"\xa2\x06\x03new")
    assert wire_record(later).data == record.data + b"\xa2\x06\x03new"
    assert decode_record(later) == full()


def test_the_record_and_its_payload_must_name_the_same_key() -> None:
    """A payload under another's name would replace the wrong flag."""
    message = ruleset_pb2.Record.FromString(record_of_flag(full(), 7).data)
    message.key = "other"
    with pytest.raises(WireError, match="the record of 'other' holds 'full'"):
        decode_record(message)


def test_kinds_of_later_releases_say_nothing_and_no_kind_is_an_error() -> None:
    """What is new is kept for the digest; what is blank is refused."""
    assert decode_record(ruleset_pb2.Record(kind=ruleset_pb2.RecordKind.ValueType(9), key="x")) is None
    with pytest.raises(WireError, match="does not say what it is"):
        decode_record(ruleset_pb2.Record(key="x"))


@pytest.mark.parametrize("kind", list(RecordKind))
@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x0a\x02\xff\xfe"], ids=["empty", "torn", "not UTF-8"])
def test_a_payload_that_does_not_parse_is_refused(kind: RecordKind, payload: bytes) -> None:
    """Whatever the bytes, the answer is one kind of error."""
    with pytest.raises(WireError):
        decode_record(ruleset_pb2.Record(kind=ruleset_pb2.RecordKind.ValueType(kind), key="x", payload=payload))


def test_a_record_that_is_no_protobuf_is_refused() -> None:
    """A kept record may have been damaged too."""
    with pytest.raises(WireError, match="not protobuf"):
        decode_record(WireRecord(1, "x", 1, b"\xff"))


def test_chunk_digests_are_found_even_where_the_cohort_is_refused() -> None:
    """The server sends a chunk once: it must be kept while a record names it."""
    members: Cohort = cohort("staff", "u-1")
    record = record_of_cohort(replace(members, when=Leaf("a", "telepathy", 1)), 1)
    assert chunk_digests(record) == {members.include.chunks[0].digest}
    assert chunk_digests(WireRecord(2, "x", 1, b"\xff")) == frozenset()
