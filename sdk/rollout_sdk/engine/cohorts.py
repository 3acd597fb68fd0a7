"""Listed keys as sorted 64-bit hashes in chunks, and the question whether a key is among them (docs/adr/0004).

Which chunks a set has depends on the set alone, never on how it came about: the hashes that share their first bits are
one chunk as long as they fit, and are halved by the next bit where they do not. So one added or removed key changes one
chunk (or halves it, or joins two halves), and all others keep their digests. Chunks of a large set hold 16 to 64 KiB.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, cast, final

from rollout_sdk.engine.limits import READERS_FACTOR
from rollout_sdk.engine.model import Chunk, KeySet

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

HASH_BYTES = 8
HASH_BITS = 64
CHUNK_HASHES = 8_192
"""64 KiB."""
CHUNK_BYTES = CHUNK_HASHES * HASH_BYTES
SET_HASHES_MAX = 32_768
"""Up to here membership is a frozenset (70 to 100 bytes a key), beyond a sorted array (8 bytes, and slower)."""

Membership: TypeAlias = "Container[int]"
"""Says whether a hash, as `key_hash` makes it, is in the set."""


def key_hash(key: str) -> int:
    """Return the first 8 bytes, big-endian, of SHA-256 of the key's UTF-8.

    Raises:
        UnicodeEncodeError: the key holds a lone surrogate.
    """
    return int.from_bytes(sha256(key.encode()).digest()[:HASH_BYTES])


def key_set(keys: Iterable[str]) -> KeySet:
    """Return the set of these keys; repeats count once.

    Raises:
        UnicodeEncodeError: a key holds a lone surrogate.
    """
    return _chunked(sorted({sha256(key.encode()).digest()[:HASH_BYTES] for key in keys}))


def from_chunks(chunks: Iterable[Chunk]) -> KeySet:
    """Return the set that these chunks hold, after looking at every byte of it.

    Raises:
        ValueError: a chunk is empty, too long or cut, its digest does not hold, or the hashes do not ascend.
    """
    collected = tuple(chunks)
    before = -1
    count = 0
    for index, chunk in enumerate(collected):
        _check_chunk(chunk, index)
        hashes = _array(chunk.data)
        if hashes[0] <= before or any(low >= high for low, high in pairwise(hashes)):
            raise ValueError(f"chunk {index}: its hashes do not ascend")
        before = hashes[-1]
        count += len(hashes)
    return KeySet(count, collected)


def contains(keys: KeySet, key: str) -> bool:
    """Whether the key is in the set. For one question; whoever asks many makes a `membership`.

    Raises:
        UnicodeEncodeError: the key holds a lone surrogate.
    """
    wanted = key_hash(key)
    index = bisect_left(keys.chunks, wanted, key=_last)
    if index == len(keys.chunks):
        return False
    hashes = _array(keys.chunks[index].data)
    place = bisect_left(hashes, wanted)
    return hashes[place] == wanted


def hashes_of(keys: KeySet) -> Iterator[int]:
    """Yield every hash in the set, ascending."""
    for chunk in keys.chunks:
        yield from _array(chunk.data)


def membership(keys: KeySet) -> Membership:
    """Return a quick answer to whether a hash is in the set. Costs a pass over the set; share it."""
    if keys.count <= SET_HASHES_MAX:
        return frozenset(hashes_of(keys))
    hashes: array[int] = array("Q")
    for chunk in keys.chunks:
        hashes.frombytes(chunk.data)
    _to_native(hashes)
    return _Sorted(hashes)


@final
class _Sorted:
    """A sorted array of hashes, looked into by halves."""

    __slots__ = ("_hashes",)

    def __init__(self, hashes: array[int]) -> None:
        self._hashes = hashes

    def __contains__(self, wanted: object) -> bool:
        place = bisect_left(self._hashes, cast("int", wanted))
        return place < len(self._hashes) and self._hashes[place] == wanted


def is_subset(part: KeySet, whole: KeySet) -> bool:
    """Whether every key of `part` is in `whole`. Chunks that both have are not looked into."""
    if part.count > whole.count:
        return False
    same = {chunk.digest for chunk in whole.chunks}
    chunks = whole.chunks
    for chunk in part.chunks:
        if chunk.digest in same:
            continue
        missing = set(_array(chunk.data))
        index = bisect_left(chunks, _first(chunk), key=_last)
        last = _last(chunk)
        while index < len(chunks) and _first(chunks[index]) <= last:
            missing.difference_update(_array(chunks[index].data))
            index += 1
        if missing:
            return False
    return True


def _chunked(hashes: list[bytes]) -> KeySet:
    """Cut ascending, distinct hashes where the rule in this module's docstring says."""
    chunks: list[Chunk] = []
    waiting = [(0, len(hashes), 0, 0)]  # from, to, and the bits they share: how many, and as a number
    while waiting:
        start, end, depth, prefix = waiting.pop()
        if end - start <= CHUNK_HASHES:
            if start < end:
                data = b"".join(hashes[start:end])
                chunks.append(Chunk(sha256(data).digest(), data))
            continue
        upper = prefix << 1 | 1
        border = (upper << (HASH_BITS - depth - 1)).to_bytes(HASH_BYTES)
        middle = bisect_left(hashes, border, start, end)
        waiting.append((middle, end, depth + 1, upper))
        waiting.append((start, middle, depth + 1, prefix << 1))
    return KeySet(len(hashes), tuple(chunks))


def _check_chunk(chunk: Chunk, index: int) -> None:
    size = len(chunk.data)
    if size == 0 or size % HASH_BYTES or size > CHUNK_BYTES * READERS_FACTOR:
        raise ValueError(f"chunk {index}: {size} bytes are no list of at most {CHUNK_HASHES} hashes")
    if sha256(chunk.data).digest() != chunk.digest:
        raise ValueError(f"chunk {index}: its bytes are not those its digest names")


def _array(data: bytes) -> array[int]:
    hashes = array("Q", data)
    _to_native(hashes)
    return hashes


def _to_native(hashes: array[int]) -> None:
    if sys.byteorder == "little":
        hashes.byteswap()


def _first(chunk: Chunk) -> int:
    return int.from_bytes(chunk.data[:HASH_BYTES])


def _last(chunk: Chunk) -> int:
    return int.from_bytes(chunk.data[-HASH_BYTES:])
