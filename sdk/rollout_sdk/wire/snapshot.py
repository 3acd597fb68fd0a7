"""A ruleset as one file: what an SDK keeps on disk and `rollout export` writes.

Framing: 8 bytes of magic, format version (4 bytes), length of the body (8), SHA-256 of the body (32), body. Numbers are
big-endian; the body is the message `SnapshotFile`. A torn or damaged file is found before protobuf sees a byte of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.codec import wire_record
from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.records import RulesetDigest, WireError, WireRecord
from rollout_sdk.wire.v1 import ruleset_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Chunk

MAGIC = b"ROLLOUT\n"
FORMAT = 1
_HEAD = struct.Struct(">8sIQ32s")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An unpacked file.

    Attributes:
        records: in order; a later record of the same kind and key replaces an earlier one. A quarantined flag appears
            twice: its last good record, then the one in force at the server.
        chunks: (digest, data), unchecked.
        ruleset_digest: over the last record of each kind and key.
        saved_at_ms: Unix epoch, UTC.
    """

    environment: str
    position: Position
    records: tuple[WireRecord, ...]
    chunks: tuple[tuple[bytes, bytes], ...]
    ruleset_digest: bytes
    saved_at_ms: int


def pack(
    position: Position,
    records: Iterable[WireRecord],
    chunks: Iterable[Chunk],
    *,
    environment: str = "",
    saved_at_ms: int = 0,
) -> bytes:
    """Return the whole file. Chunks that several cohorts share are to be given once."""
    message = ruleset_pb2.SnapshotFile(
        environment=environment, position=write_position(position), saved_at_ms=saved_at_ms
    )
    last: dict[tuple[int, str], bytes] = {}
    for record in records:
        message.records.add().MergeFromString(record.data)
        last[record.id] = record.data
    for chunk in chunks:
        message.chunks.add(digest=chunk.digest, data=chunk.data)
    digest = RulesetDigest()
    for data in last.values():
        digest = digest.add(data)
    message.ruleset_digest = digest.to_bytes()
    return frame(message.SerializeToString(deterministic=True))


def frame(body: bytes) -> bytes:
    """Put the head before a serialised `SnapshotFile`."""
    return _HEAD.pack(MAGIC, FORMAT, len(body), sha256(body).digest()) + body


def unpack(data: bytes) -> Snapshot:
    """Read a whole file; its records stay unread.

    Raises:
        WireError: not such a file, of a later format, torn, or damaged.
    """
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise WireError("this is not a ruleset file; `rollout export` writes one")
    _, version, length, digest = _HEAD.unpack_from(data)
    if version != FORMAT:
        raise WireError(f"the file has format {version}, this release reads {FORMAT}; upgrade rollout-guard")
    body = memoryview(data)[_HEAD.size :]
    if len(body) != length or sha256(body).digest() != digest:
        raise WireError("the file is torn or damaged: its checksum does not hold")
    try:
        message = ruleset_pb2.SnapshotFile.FromString(bytes(body))
    except DecodeError as error:
        raise WireError(f"the file does not parse: {error}") from None
    return Snapshot(
        environment=message.environment,
        position=read_position(message.position),
        records=tuple(wire_record(record) for record in message.records),
        chunks=tuple((chunk.digest, chunk.data) for chunk in message.chunks),
        ruleset_digest=message.ruleset_digest,
        saved_at_ms=message.saved_at_ms,
    )
