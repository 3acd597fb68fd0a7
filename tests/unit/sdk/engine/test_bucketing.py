import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine import bucketing
from rollout_sdk.engine.model import PPM
from tests.murmur3 import murmur3_x86_32
from tests.vectors import write_bucketing

VECTORS: dict[str, Any] = json.loads(write_bucketing.VECTORS.read_text(encoding="utf-8"))


def test_our_own_hash_agrees_with_published_values() -> None:
    """The independent implementation is the algorithm, or it could vouch for nothing."""
    assert murmur3_x86_32(b"", 0) == 0
    assert murmur3_x86_32(b"", 1) == 0x514E28B7
    assert murmur3_x86_32(b"test", 0) == 0xBA6BD213
    assert murmur3_x86_32(b"Hello, world!", 0x9747B28C) == 0x24884CBA


def test_the_vectors_are_what_the_law_says() -> None:
    """The file is the law as it stands in the design, computed without the library."""
    assert write_bucketing.VECTORS.read_text(encoding="utf-8") == write_bucketing.text()


@pytest.mark.parametrize("vector", VECTORS["salts"], ids=lambda vector: vector["resource"][:20])
def test_salts(vector: dict[str, str]) -> None:
    """A resource's salt never changes."""
    assert bucketing.salt16(vector["resource"]) == vector["salt"]


@pytest.mark.parametrize("vector", VECTORS["units"], ids=lambda vector: ascii(vector["key"][:20]))
def test_units(vector: dict[str, str]) -> None:
    """A unit's 64 characters never change, ASCII or not, at every length around the border."""
    assert bucketing.unit64(vector["key"]) == vector["unit64"]


def test_buckets_and_shares() -> None:
    """Every published hash, bucket and border of a share holds, by both ways of asking."""
    for vector in VECTORS["buckets"]:
        unit = bucketing.unit64(vector["key"])
        hashed = bucketing.unit_hash(bucketing.split_head(vector["salt"]), unit.encode())
        assert hashed == vector["hash"]
        assert bucketing.bucket(vector["salt"], unit) == vector["bucket"]
        for share_ppm, inside in zip(VECTORS["shares_ppm"], vector["inside"], strict=True):
            assert bucketing.is_inside(vector["salt"], unit, share_ppm) is inside
            assert (hashed < bucketing.hash_bound(share_ppm)) is inside


def test_vectors_reach_what_differs() -> None:
    """The published keys hold every length around 64, and both kinds of unit64."""
    assert {0, 63, 64, 65} <= {len(vector["key"]) for vector in VECTORS["units"]}
    assert {True, False} == {vector["key"].isascii() for vector in VECTORS["units"]}


@given(salt=st.from_regex(r"[a-z2-7]{16}", fullmatch=True), key=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_unit_lands_where_the_independent_hash_says(salt: str, key: str) -> None:
    """The library's hash and our own agree on any salt and key."""
    unit = bucketing.unit64(key)
    assert len(unit) == bucketing.UNIT_CHARS
    assert unit.isascii()
    assert bucketing.bucket(salt, unit) == murmur3_x86_32(f"xP{salt}{unit}".encode()) * PPM >> 32


@given(hashed=st.integers(0, 2**32 - 1), share_ppm=st.integers(0, PPM))
def test_a_bound_on_the_hash_is_the_share(hashed: int, share_ppm: int) -> None:
    """Comparing hashes with the bound says exactly what comparing buckets with the share says."""
    assert (hashed < bucketing.hash_bound(share_ppm)) is (hashed * PPM >> 32 < share_ppm)


def test_nothing_but_the_head_is_before_the_salt() -> None:
    """The 80 characters are salt and unit, which is what other languages hash."""
    assert bucketing.split_head("0123456789abcdef") == b"xP0123456789abcdef"
    assert len("0123456789abcdef") + bucketing.UNIT_CHARS == 80
