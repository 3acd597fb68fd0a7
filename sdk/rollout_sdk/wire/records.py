"""Records as they travel, and the digest over them. No protobuf here: who only passes bytes on imports this alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST_BYTES = 32
_MODULUS = 1 << (8 * DIGEST_BYTES)


class WireError(ValueError):
    """What arrived cannot be read; says what is wrong with it, and harms only the resource it describes."""


class RecordKind(IntEnum):
    """Kinds of record that this release knows. Others are kept and counted into the digest, but say nothing here."""

    FLAG = 1
    COHORT = 2
    FLAG_STATE = 3
    ROLLOUT = 4
    METRIC = 5


@dataclass(frozen=True, slots=True)
class WireRecord:
    """One resource as SDKs see it.

    Attributes:
        kind: a `RecordKind`, or the number of a kind that a later release invented.
        version: revision that last changed what this record holds.
        data: deterministic serialisation of the message `Record`, exactly as sent.
    """

    kind: int
    key: str
    version: int
    data: bytes = field(repr=False)

    @property
    def id(self) -> tuple[int, str]:
        """What names it inside a ruleset."""
        return (self.kind, self.key)


@dataclass(frozen=True, slots=True)
class RulesetDigest:
    """Sum modulo 2^256 of SHA-256 over every record as sent: order does not matter, one change costs one hash."""

    total: int = 0

    def add(self, data: bytes) -> RulesetDigest:
        """Return the digest with one more record."""
        return RulesetDigest((self.total + int.from_bytes(sha256(data).digest())) % _MODULUS)

    def remove(self, data: bytes) -> RulesetDigest:
        """Return the digest without a record that was added before."""
        return RulesetDigest((self.total - int.from_bytes(sha256(data).digest())) % _MODULUS)

    def to_bytes(self) -> bytes:
        """Return the 32 bytes, big-endian, that travel as `ruleset_digest`."""
        return self.total.to_bytes(DIGEST_BYTES)


def digest_of(records: Iterable[WireRecord]) -> RulesetDigest:
    """Return the digest over all of these, in one sum."""
    return RulesetDigest(sum([int.from_bytes(sha256(record.data).digest()) for record in records]) % _MODULUS)
