"""A ruleset as one file."""

import pytest

from rollout_sdk.engine.model import FlagState
from rollout_sdk.wire.codec import record_of_cohort, record_of_flag, record_of_state
from rollout_sdk.wire.records import RulesetDigest, WireError
from rollout_sdk.wire.snapshot import FORMAT, MAGIC, Snapshot, frame, pack, unpack
from tests.small_rules import cohort, full, position

COHORT = cohort("staff", "u-1")
RECORDS = (record_of_flag(full(), 1), record_of_cohort(COHORT, 2), record_of_state(FlagState("full"), 3))
FILE = pack(position(3), RECORDS, COHORT.include.chunks, environment="production", saved_at_ms=5)


def test_what_is_packed_is_unpacked() -> None:
    """Everything an SDK needs to decide is in the file."""
    digest = RulesetDigest()
    for record in RECORDS:
        digest = digest.add(record.data)
    chunk = COHORT.include.chunks[0]
    assert unpack(FILE) == Snapshot(
        "production", position(3), RECORDS, ((chunk.digest, chunk.data),), digest.to_bytes(), 5
    )


def test_the_digest_covers_the_last_record_of_each_key() -> None:
    """A last good record before the one in force does not count: the server never sent both."""
    newer = record_of_flag(full(), 9)
    assert unpack(pack(position(9), (*RECORDS, newer), ())).ruleset_digest == (
        unpack(pack(position(9), (newer, *RECORDS[1:]), ())).ruleset_digest
    )


def test_every_truncation_is_found() -> None:
    """A torn file is no file."""
    for length in range(len(FILE)):
        with pytest.raises(WireError):
            unpack(FILE[:length])


def test_every_flipped_byte_is_found() -> None:
    """Damage is found before protobuf sees it."""
    for index in range(len(FILE)):
        with pytest.raises(WireError):
            unpack(FILE[:index] + bytes([FILE[index] ^ 0x10]) + FILE[index + 1 :])


def test_trailing_bytes_and_later_formats_are_refused_with_what_to_do() -> None:
    """Each refusal says what it is."""
    with pytest.raises(WireError, match="torn or damaged"):
        unpack(FILE + b"x")
    later = bytearray(FILE)
    later[len(MAGIC) + 3] = FORMAT + 1
    with pytest.raises(WireError, match="upgrade rollout-guard"):
        unpack(bytes(later))
    with pytest.raises(WireError, match="rollout export"):
        unpack(b"flags: []")
    with pytest.raises(WireError, match="does not parse"):
        unpack(frame(b"\xff"))
