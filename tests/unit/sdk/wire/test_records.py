"""Records and the digest over them."""

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.wire.records import RulesetDigest


def test_digest_is_the_sum_of_the_hashes_of_the_records_as_sent() -> None:
    """Anyone can compute it: sum modulo 2^256 of SHA-256, 32 bytes, big-endian."""
    parts = [b"one", b"two"]
    total = sum(int.from_bytes(hashlib.sha256(part).digest()) for part in parts) % 2**256
    assert RulesetDigest().add(parts[0]).add(parts[1]).to_bytes() == total.to_bytes(32)


@given(st.lists(st.binary(), max_size=8), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_what_is_removed_is_gone(parts: list[bytes], random: Random) -> None:
    """The digest of a set of records is one, however it came about."""
    digest = RulesetDigest()
    for part in parts:
        digest = digest.add(part)
    shuffled = list(parts)
    random.shuffle(shuffled)
    for part in shuffled:
        digest = digest.remove(part)
    assert digest == RulesetDigest()
    assert digest.to_bytes() == bytes(32)
