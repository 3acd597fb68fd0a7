"""Chunks and key sets."""

import hashlib

import pytest

from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.model import Chunk
from rollout_sdk.wire.key_sets import read_chunk, read_key_set, write_key_set
from rollout_sdk.wire.records import WireError

KEYS = key_set(f"u-{number}" for number in range(20_000))
CHUNKS = {chunk.digest: chunk for chunk in KEYS.chunks}


def test_what_is_written_is_read_back() -> None:
    """A set of many chunks is put together from them."""
    assert len(CHUNKS) > 1
    assert read_key_set(write_key_set(KEYS), CHUNKS, "include") == KEYS


def test_a_chunk_must_be_what_its_digest_names() -> None:
    """Content addressing: a damaged chunk cannot take the place of a good one."""
    good = KEYS.chunks[0]
    assert read_chunk(good.digest, good.data) == good
    with pytest.raises(WireError, match="does not match its digest"):
        read_chunk(good.digest, good.data[:-1] + b"\0")


def test_a_missing_chunk_a_wrong_order_and_a_wrong_count_are_refused() -> None:
    """Half a cohort is no cohort."""
    message = write_key_set(KEYS)
    with pytest.raises(WireError, match="1 chunks did not arrive"):
        read_key_set(message, dict(list(CHUNKS.items())[1:]), "include")
    message.count += 1
    with pytest.raises(WireError, match="20000 keys arrived of 20001"):
        read_key_set(message, CHUNKS, "include")
    message = write_key_set(KEYS)
    message.chunks.reverse()
    with pytest.raises(WireError, match="ascend"):
        read_key_set(message, CHUNKS, "include")
    message.count = 2_000_001
    with pytest.raises(WireError, match="at most 2000000"):
        read_key_set(message, CHUNKS, "include")


def test_hashes_inside_a_chunk_must_ascend() -> None:
    """Membership searches by halving; unsorted hashes would answer at random."""
    data = KEYS.chunks[0].data[8:16] + KEYS.chunks[0].data[:8]
    chunk = Chunk(hashlib.sha256(data).digest(), data)
    message = write_key_set(KEYS)
    message.count = 2
    del message.chunks[:]
    message.chunks.append(chunk.digest)
    with pytest.raises(WireError, match="ascend"):
        read_key_set(message, {chunk.digest: chunk}, "include")
