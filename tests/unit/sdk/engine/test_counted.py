"""Deciding and counting in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.bucketing import split_head
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.counted import Counter, counted, counted_everyone
from rollout_sdk.engine.exposure import Everyone
from rollout_sdk.engine.sample import HASH_BITS, UnitSample, unit_hash

CANDIDATE, CONTROL, NO_UNIT, ELSE = 3, 4, 5, 6
KEY = 77
USERS = [Context(f"u-{number}") for number in range(50)]


class Counts:
    """Notes what it is told."""

    def __init__(self, scope: object = None) -> None:
        self.sample = UnitSample(2 * HASH_BITS)
        self.noted: list[tuple[int, int]] = []
        self.scoped: list[tuple[object, int]] = []
        self.failures = 0
        self.scope = scope

    def note(self, context: Context, number: int, hashed: int) -> None:
        assert hashed >> HASH_BITS == unit_hash(KEY, context.unit64("user") or b"")
        if self.sample.take(hashed):
            self.noted.append((number, hashed))

    def put(self, scope: object, _context: Context, number: int, _hashed: int) -> None:
        self.scoped.append((scope, number))

    def fail(self) -> None:
        self.failures += 1

    def counter(self) -> Counter:
        return Counter(KEY, self.sample, self.note, lambda: self.scope, self.put, self.fail)


def everyone(salt: str = "a" * 16, bound: int = 1 << 31) -> Everyone:
    return Everyone("user", split_head(salt), bound, CANDIDATE, CONTROL, NO_UNIT)


@given(st.lists(st.sampled_from(USERS), max_size=80), st.integers(0, 1 << 32))
def test_both_ways_decide_and_count_alike(users: list[Context], bound: int) -> None:
    """However often and in whatever order units come: every unit once, under the number that was answered first."""
    one, other = Counts(), Counts()
    quick = counted_everyone(everyone(bound=bound), one.counter())
    bare = counted_everyone(everyone(bound=bound), Counts().counter())
    plain = counted(bare, "user", {CANDIDATE: None, CONTROL: None}, other.counter())
    assert [quick(user) for user in users] == [plain(user) for user in users]
    assert one.noted == other.noted
    assert len(one.noted) == len({hashed for _, hashed in one.noted}) == len({id(user) for user in users})


def test_a_context_that_was_hashed_for_one_salt_is_hashed_anew_for_another() -> None:
    """Two runs may have one key: their buckets are strangers all the same."""
    first = counted_everyone(everyone("a" * 16), Counts().counter())
    second = counted_everyone(everyone("b" * 16), Counts().counter())
    fresh = counted_everyone(everyone("b" * 16), Counts().counter())
    users = [f"u-{number}" for number in range(50)]
    known = [Context(user) for user in users]
    assert [first(user) for user in known] != [second(user) for user in known]
    assert [second(user) for user in known] == [fresh(Context(user)) for user in users]


def test_what_belongs_to_no_arm_is_not_counted() -> None:
    """A unit that is missing, or an answer that no run gave."""
    counts = Counts(scope="scope")
    assert counted_everyone(everyone(), counts.counter())(Context()) == NO_UNIT
    assert counted(lambda _: ELSE, "user", {CANDIDATE: None}, counts.counter())(USERS[0]) == ELSE
    assert (counts.noted, counts.scoped, counts.failures) == ([], [], 0)


def test_a_scope_is_told_of_every_decision_in_it() -> None:
    """Also of a unit that was counted before."""
    counts = Counts(scope="scope")
    decide = counted_everyone(everyone(bound=1 << 32), counts.counter())
    assert [decide(USERS[0]), decide(USERS[0])] == [CANDIDATE, CANDIDATE]
    assert counts.scoped == [("scope", CANDIDATE)] * 2
    assert len(counts.noted) == 1


@pytest.mark.parametrize("name", ["note", "put"])
def test_what_raises_in_counting_leaves_the_decision(name: str) -> None:
    """And is told."""
    counts = Counts(scope="scope")

    def bug(*_args: object) -> None:
        raise RuntimeError("a bug")

    setattr(counts, name, bug)
    assert counted_everyone(everyone(bound=0), counts.counter())(USERS[1]) == CONTROL
    assert counts.failures == 1
