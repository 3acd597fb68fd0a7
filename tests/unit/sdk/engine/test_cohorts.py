from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine import cohorts
from rollout_sdk.engine.model import Chunk, KeySet

KEYS = st.sets(st.text(st.characters(codec="utf-8"), max_size=5))


def numbered(count: int) -> list[str]:
    return [f"user-{number}" for number in range(count)]


def chunk(data: bytes) -> Chunk:
    return Chunk(sha256(data).digest(), data)


def test_a_key_is_the_head_of_its_sha_256() -> None:
    """Whoever can compute SHA-256 can make a chunk."""
    assert cohorts.key_hash("t-9") == int(sha256(b"t-9").hexdigest()[:16], 16)


@given(keys=KEYS, other=st.text(st.characters(codec="utf-8"), max_size=5))
def test_holds_what_was_put_in_and_nothing_else(keys: set[str], other: str) -> None:
    """Listed keys are members, others are not."""
    made = cohorts.key_set(keys)
    answer = cohorts.membership(made)
    assert made.count == len(keys)
    assert all(cohorts.contains(made, key) and cohorts.key_hash(key) in answer for key in keys)
    assert cohorts.contains(made, other) is (cohorts.key_hash(other) in answer) is (other in keys)


def test_the_empty_set_is_the_models_own() -> None:
    """A cohort without keys sends nothing."""
    assert cohorts.key_set([]) == KeySet() == cohorts.from_chunks([])
    assert not cohorts.contains(KeySet(), "a")


def test_repeats_and_order_do_not_matter() -> None:
    """The same keys are the same chunks, however they were listed."""
    keys = numbered(20_000)
    assert cohorts.key_set([*reversed(keys), *keys]) == cohorts.key_set(keys)


@pytest.mark.parametrize("count", [1, 8_192, 8_193, 40_000])
def test_chunks_are_of_the_promised_size(count: int) -> None:
    """At most 64 KiB each; from 16 KiB, unless one chunk is all."""
    made = cohorts.key_set(numbered(count))
    sizes = [len(each.data) for each in made.chunks]
    assert sum(sizes) == count * cohorts.HASH_BYTES
    assert max(sizes) <= cohorts.CHUNK_BYTES
    assert len(sizes) == 1 or min(sizes) >= 16 * 1024
    assert list(cohorts.hashes_of(made)) == sorted(cohorts.key_hash(key) for key in numbered(count))


def test_one_edit_changes_one_chunk() -> None:
    """Adding or removing a key resends the chunk it is in and no other."""
    keys = numbered(60_000)
    before = cohorts.key_set(keys)
    held = {each.digest for each in before.chunks}
    for edited in ([*keys, "one more"], keys[1:], [*keys[1:], "one more"]):
        after = cohorts.key_set(edited)
        assert len([each for each in after.chunks if each.digest not in held]) <= 2 - (len(edited) != len(keys))


def test_a_full_chunk_is_halved_and_joined_again() -> None:
    """The chunks depend on the set alone, not on how it came about."""
    keys = numbered(8_193)
    assert len(cohorts.key_set(keys).chunks) == 2
    assert len(cohorts.key_set(keys[:-1]).chunks) == 1


def test_large_sets_answer_from_a_sorted_array() -> None:
    """Beyond the limit the answers are the same, from 8 bytes a key."""
    keys = numbered(cohorts.SET_HASHES_MAX + 1)
    answer = cohorts.membership(cohorts.key_set(keys))
    assert not isinstance(answer, frozenset)
    assert all(cohorts.key_hash(key) in answer for key in keys[::97])
    assert not any(wanted in answer for wanted in (0, 2**64 - 1, cohorts.key_hash("nobody")))


def test_what_was_sent_is_read_back() -> None:
    """Chunks carry the whole set."""
    made = cohorts.key_set(numbered(9_000))
    assert cohorts.from_chunks(made.chunks) == made


@pytest.mark.parametrize(
    ("what", "chunks"),
    [
        ("cut", [chunk(b"1234567")]),
        ("empty", [chunk(b"")]),
        ("not ascending", [chunk(b"bbbbbbbbaaaaaaaa")]),
        ("a repeat", [chunk(b"aaaaaaaaaaaaaaaa")]),
        ("chunks in the wrong order", [chunk(b"bbbbbbbb"), chunk(b"aaaaaaaa")]),
        ("the same chunk twice", [chunk(b"aaaaaaaa"), chunk(b"aaaaaaaa")]),
        ("another digest", [Chunk(bytes(32), b"aaaaaaaa")]),
        ("too long", [chunk(b"".join(number.to_bytes(8) for number in range(16_385)))]),
    ],
)
def test_a_bad_chunk_is_refused(what: str, chunks: list[Chunk]) -> None:
    """Nothing that arrived damaged is taken for a set."""
    with pytest.raises(ValueError, match=r"chunk [01]: "):
        cohorts.from_chunks(chunks)


@given(one=KEYS, other=KEYS)
def test_subset_is_what_it_is_for_sets(one: set[str], other: set[str]) -> None:
    """The proof that an edit shrinks may rest on it."""
    made, whole = cohorts.key_set(one), cohorts.key_set(other)
    assert cohorts.is_subset(made, whole) is (one <= other)
    assert cohorts.is_subset(made, cohorts.key_set(one | other))


def test_subset_of_large_sets_with_other_borders() -> None:
    """Also where a chunk of one lies over several of the other."""
    keys = numbered(30_000)
    whole = cohorts.key_set(keys)
    assert cohorts.is_subset(cohorts.key_set(keys[::4]), whole)
    assert not cohorts.is_subset(cohorts.key_set([*keys[::4], "one more"]), whole)
    assert not cohorts.is_subset(whole, cohorts.key_set(keys[::4]))


def test_a_key_that_is_not_unicode_is_refused() -> None:
    """Such a key is no unit, so it can be in no list."""
    with pytest.raises(UnicodeEncodeError):
        cohorts.key_set(["\ud800"])


@pytest.mark.soak
def test_a_million_keys() -> None:
    """A million keys build, answer and stay at 8 bytes a key."""
    made = cohorts.key_set(numbered(1_000_000))
    answer = cohorts.membership(made)
    assert sum(len(each.data) for each in made.chunks) == 8_000_000
    assert all(cohorts.key_hash(f"user-{number}") in answer for number in range(0, 1_000_000, 1_001))
    assert not any(cohorts.key_hash(f"nobody-{number}") in answer for number in range(1_000))
