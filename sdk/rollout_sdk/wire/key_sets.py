"""Key sets between their message and the model. Chunks travel apart, by digest, and cohorts may share them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.cohorts import from_chunks
from rollout_sdk.engine.model import Chunk, KeySet
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS_MAX = limits.READERS_FACTOR * limits.KEYS_PER_COHORT


def read_chunk(digest: bytes, data: bytes) -> Chunk:
    """Return a chunk that is what its digest names; what it holds is checked when a key set is made of it.

    Raises:
        WireError: the digest does not hold, so it must not take the place of the chunk that it claims to be.
    """
    if sha256(data).digest() != digest:
        raise WireError(f"the chunk {digest.hex()[:12]} does not match its digest")
    return Chunk(digest, data)


def write_key_set(keys: KeySet) -> resources_pb2.KeySet:
    """Return the message of a key set: its chunks by digest."""
    return resources_pb2.KeySet(count=keys.count, chunks=[chunk.digest for chunk in keys.chunks])


def read_key_set(message: resources_pb2.KeySet, chunks: Mapping[bytes, Chunk], path: str) -> KeySet:
    """Put a key set together.

    Raises:
        WireError: a chunk is missing or misshapen, hashes do not ascend, or the count disagrees.
    """
    if message.count > KEYS_MAX:
        raise WireError(f"{path}: {message.count} keys, at most {KEYS_MAX} are read")
    missing = [digest.hex()[:12] for digest in message.chunks if digest not in chunks]
    if missing:
        raise WireError(f"{path}: {len(missing)} chunks did not arrive, the first is {missing[0]}")
    try:
        keys = from_chunks(chunks[digest] for digest in message.chunks)
    except ValueError as error:
        raise WireError(f"{path}: {error}") from None
    if keys.count != message.count:
        raise WireError(f"{path}: {keys.count} keys arrived of {message.count}")
    return keys
