"""An adaptive distinct sample of units: which are kept depends on the unit alone, never on its arm or what it did.

    unit hash = the upper 64 bits of MurmurHash3_x64_128(seed: the key of the run, unit64)

A unit is kept where its hash is below a bound that everything of one run shares; a full sample halves the bound and
lets go of what lies above. So two samples merge exactly, whatever each of them saw: the union, below the lower bound.
The key makes hashes of different runs strangers to each other, and to the buckets of every law.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, final

from mmh3 import mmh3_x64_128_uintdigest

if TYPE_CHECKING:
    from collections.abc import Mapping

HASH_BITS = 64
EVERYTHING = 1 << HASH_BITS
"""The bound that keeps every unit."""
USER_BUCKETS = 64
SAMPLE_UNITS_MAX = 32_768
"""Units of one sample in a process; a full one keeps half of all units from then on."""
_KEY_BYTES = 4


@final
class UnitSample:
    """Which units of one run were seen, below a bound that falls as they grow in number.

    Attributes:
        bound: hashes below it are kept. Of `bits` bits, and only ever halved.
        seen: kept hashes, and for a while after a halving some above.
    """

    __slots__ = ("bits", "bound", "count", "reporting", "seen")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.bound = 1 << bits
        self.seen: set[int] = set()
        self.reporting: set[int] = set()
        self.count = 0

    def take(self, hashed: int) -> bool:
        """Keep a unit; return whether it is kept and was not seen before."""
        if hashed >= self.bound or hashed in self.seen:
            return False
        self.seen.add(hashed)
        self.count += 1
        if self.count >= SAMPLE_UNITS_MAX:
            self.halve()
        return True

    def take_reporting(self, unit: int) -> bool:
        """The same for a unit's first outcome of any metric, by its 64-bit hash."""
        if unit >= self.bound64 or unit in self.reporting:
            return False
        self.reporting.add(unit)
        if len(self.reporting) >= SAMPLE_UNITS_MAX:
            self.halve()
            self.reporting = {kept for kept in self.reporting if kept < self.bound64}
        return True

    def halve(self) -> None:
        """Keep half from now on. Costs nothing now: what lies above is let go of by `purge`."""
        self.bound = halved(self.bound)
        self.count >>= 1

    def purge(self) -> None:
        """Let go of what the bound no longer keeps.

        A unit that another thread adds meanwhile may be forgotten: it is reported twice, and the server counts it once.
        """
        if len(self.seen) > self.count or len(self.reporting) > self.count:
            self.seen = {hashed for hashed in self.seen.copy() if hashed < self.bound}
            self.reporting = {unit for unit in self.reporting.copy() if unit < self.bound64}
            self.count = len(self.seen)

    @property
    def bound64(self) -> int:
        """The bound over 64-bit hashes, as it travels."""
        return self.bound >> (self.bits - HASH_BITS)


def run_key(rollout: str, salt: str, run: int) -> int:
    """Return the seed of every unit's hash in one run: 32 bits, the same in every process.

    Args:
        rollout: its key.
        salt: of the rollout.
        run: its number.
    """
    return int.from_bytes(sha256(f"sample/{salt}/{run}/{rollout}".encode(errors="surrogatepass")).digest()[:_KEY_BYTES])


def unit_hash(key: int, unit: bytes) -> int:
    """Return the 64-bit hash of a unit, in the form of `bucketing.unit64`, under a `run_key`."""
    return mmh3_x64_128_uintdigest(unit, key) >> HASH_BITS


def user_bucket(hash64: int) -> int:
    """Return the class, 0 .. 63, in which a unit's events are summed; kept units fall into all of them alike."""
    return hash64 & (USER_BUCKETS - 1)


def kept_ppm(bound: int) -> int:
    """Return the share of units that a bound keeps; at least 1, for something is divided by it."""
    return max(1, (bound * 1_000_000) >> HASH_BITS)


def halved(bound: int) -> int:
    """Return the next lower bound; never 0, which would keep nobody for good."""
    return max(1, bound >> 1)


def merge(first: tuple[int, Mapping[int, int]], second: tuple[int, Mapping[int, int]]) -> tuple[int, dict[int, int]]:
    """Return the sample of both populations: of the lower bound, and below it the marks of both, joined bit by bit.

    Args:
        first: a bound, and marks by unit hash below it.
        second: another.
    """
    bound = min(first[0], second[0])
    merged: dict[int, int] = {}
    for _, marks in (first, second):
        for hash64, bits in marks.items():
            if hash64 < bound:
                merged[hash64] = merged.get(hash64, 0) | bits
    return bound, merged
