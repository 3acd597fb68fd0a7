"""Law 1 of bucketing. Frozen: any change to this file reshuffles every unit of every split.

    unit64 = key left-padded with "." to 64 characters    if the key is ASCII and at most 64 characters long
           = lowercase hex SHA-256 of the key's UTF-8      otherwise
    hash   = MurmurHash3_x86_32(seed 0, bytes "xP" + salt16 + unit64)
    bucket = (hash * 1_000_000) >> 32                      0 .. 999_999

Pinned by tests/vectors/bucketing.json, which an implementation of our own, apart from mmh3, agrees with.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

from mmh3 import mmh3_32_uintdigest

from rollout_sdk.engine.model import PPM

UNIT_CHARS = 64
SALT_LENGTH = 16
HEAD = "xP"
"""The canonical CBOR head of a text of 80 characters, which is what flagd's clients hash."""


def salt16(resource_key: str) -> str:
    """Return the salt that a resource gets when it is created, unless its file gives one: 16 characters of [a-z2-7].

    Raises:
        UnicodeEncodeError: the key holds a lone surrogate; no valid key does.
    """
    return b32encode(sha256(resource_key.encode()).digest()).decode().lower()[:SALT_LENGTH]


def unit64(key: str) -> str:
    """Return a unit's key in 64 ASCII characters.

    Raises:
        UnicodeEncodeError: the key holds a lone surrogate: such a key is no unit, see `context.Context`.
    """
    if key.isascii() and len(key) <= UNIT_CHARS:
        return key.rjust(UNIT_CHARS, ".")
    return sha256(key.encode()).hexdigest()


def split_head(salt: str) -> bytes:
    """Return what is hashed before every unit of one salt (16 ASCII characters)."""
    return (HEAD + salt).encode()


def unit_hash(head: bytes, unit: bytes) -> int:
    """Return the 32-bit hash of a `split_head` and a unit in the form of `unit64`, as bytes."""
    return mmh3_32_uintdigest(head + unit)


def bucket(salt: str, unit: str) -> int:
    """Return where a unit (in the form of `unit64`) lies under a salt: 0 .. 999_999."""
    return unit_hash(split_head(salt), unit.encode()) * PPM >> 32


def is_inside(salt: str, unit: str, share_ppm: int) -> bool:
    """Strictly less: 0 holds nobody, 1_000_000 everybody, 1 exactly one bucket."""
    return bucket(salt, unit) < share_ppm


def hash_bound(share_ppm: int) -> int:
    """Return the bound for which `unit_hash < bound` says exactly what `bucket < share_ppm` says.

    bucket < s is hash * 10^6 / 2^32 < s, as s is whole; so the bound is s * 2^32 / 10^6, rounded up.
    """
    return -(-(share_ppm << 32) // PPM)
