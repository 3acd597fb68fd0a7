"""Chunks and the key sets made of them. A chunk is checked once, however many cohorts share it."""

from __future__ import annotations

import sys
from array import array
from hashlib import sha256
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import Chunk, KeySet
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

HASH_BYTES = 8
CHUNK_BYTES_MAX = limits.READERS_FACTOR * 64 * 1024


def read_chunk(digest: bytes, data: bytes) -> Chunk:
    """Return a chunk whose digest holds and whose hashes strictly ascend.

    Raises:
        WireError: neither of that, or it is empty, ragged or too long.
    """
    if sha256(data).digest() != digest:
        raise WireError(f"the chunk {digest.hex()[:12]} does not match its digest")
    if not data or len(data) % HASH_BYTES or len(data) > CHUNK_BYTES_MAX:
        raise WireError(f"the chunk {digest.hex()[:12]} has {len(data)} bytes")
    hashes = array("Q", data)
    if sys.byteorder == "little":
        hashes.byteswap()
    if not all(map(lt, hashes, islice(hashes, 1, None))):
        raise WireError(f"the chunk {digest.hex()[:12]} is not in strictly ascending order")
    return Chunk(digest, data)


def write_key_set(keys: KeySet) -> resources_pb2.KeySet:
    """Return the message of a key set: its chunks by digest; their data travels apart."""
    return resources_pb2.KeySet(count=keys.count, chunks=[chunk.digest for chunk in keys.chunks])


def read_key_set(message: resources_pb2.KeySet, chunks: Mapping[bytes, Chunk], path: str) -> KeySet:
    """Put a key set together from checked chunks.

    Raises:
        WireError: a chunk is missing, chunks overlap or are out of order, or the count disagrees.
    """
    found: list[Chunk] = []
    for digest in message.chunks:
        chunk = chunks.get(digest)
        if chunk is None:
            raise WireError(f"{path}: the chunk {digest.hex()[:12]} did not arrive")
        if found and found[-1].data[-HASH_BYTES:] >= chunk.data[:HASH_BYTES]:
            raise WireError(f"{path}: the chunk {digest.hex()[:12]} is out of order")
        found.append(chunk)
    count = sum(len(chunk.data) for chunk in found) // HASH_BYTES
    if count != message.count:
        raise WireError(f"{path}: {count} keys arrived of {message.count}")
    if count > limits.READERS_FACTOR * limits.KEYS_PER_COHORT:
        raise WireError(f"{path}: {count} keys, at most {limits.READERS_FACTOR * limits.KEYS_PER_COHORT} are read")
    return KeySet(count, tuple(found))
