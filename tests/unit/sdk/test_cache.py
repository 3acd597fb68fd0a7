"""The cache: parts are collected, checked against what is held, and put in force at once."""

from dataclasses import replace

import pytest

from rollout_sdk.cache import Cache
from rollout_sdk.engine.model import FlagState
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Part, Resync
from rollout_sdk.wire.records import RecordKind, WireRecord
from rollout_sdk.wire.snapshot import pack, unpack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, broken, cohort, for_cohort, position

A, B = record(boolean("a"), 1), record(boolean("b"), 1)


def snapshot(revision: int, *records: WireRecord, epoch: str = "epoch-1") -> Part:
    return Part(
        snapshot=True,
        base_revision=0,
        position=position(revision, epoch),
        ruleset_digest=digest_of(records),
        records=records,
    )


def delta(base: int, revision: int, *records: WireRecord, holding: tuple[WireRecord, ...]) -> Part:
    return replace(snapshot(revision, *records), snapshot=False, base_revision=base, ruleset_digest=digest_of(holding))


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.apply(snapshot(5, A, B))
    return cache


def revision(cache: Cache) -> int:
    assert cache.held is not None
    return cache.held.position.revision


def test_a_snapshot_is_put_in_force_and_acknowledged() -> None:
    """The acknowledgement says what is in force, by its own count."""
    cache = Cache()
    assert cache.resumes_from is None
    assert cache.apply(snapshot(5, A, B)) == Acknowledgement(position(5), digest_of([A, B]))
    assert cache.resumes_from == position(5)


def test_parts_are_collected_until_the_last(cache: Cache) -> None:
    """Nothing of an update is in force before all of it is."""
    last = replace(snapshot(9, B), ruleset_digest=digest_of([A, B]))
    assert cache.apply(replace(snapshot(9, A), more=True)) is None
    assert revision(cache) == 5
    assert cache.apply(last) is not None
    assert revision(cache) == 9


def test_a_stream_that_broke_in_the_middle_leaves_no_parts_behind(cache: Cache) -> None:
    """The next stream begins anew."""
    cache.apply(replace(snapshot(9, A), more=True))
    cache.begin()
    cache.apply(snapshot(9, B))
    assert cache.held is not None
    assert set(cache.held.records) == {B.id}


def test_parts_that_disagree_are_refused(cache: Cache) -> None:
    """Halves of two updates make none."""
    cache.apply(replace(snapshot(9, A), more=True))
    with pytest.raises(Resync, match="disagree"):
        cache.apply(delta(5, 9, B, holding=(A, B)))


def test_a_delta_must_follow_what_is_held(cache: Cache) -> None:
    """Nothing is missed: another base asks for a snapshot."""
    newer = record(boolean("a", on=False), 7)
    with pytest.raises(Resync, match="a delta from 6 does not follow 5"):
        cache.apply(delta(6, 7, newer, holding=(newer, B)))
    assert cache.resumes_from is None
    assert revision(cache) == 5
    cache.apply(snapshot(7, newer, B))
    assert cache.resumes_from == position(7)


def test_a_delta_before_any_snapshot_is_refused() -> None:
    """There is nothing that it could change."""
    with pytest.raises(Resync, match="before any snapshot"):
        Cache().apply(delta(0, 1, A, holding=(A,)))


def test_no_going_back_within_an_epoch(cache: Cache) -> None:
    """Promise 4: not by a snapshot, not by a delta, not by a bookmark; and what is held is still trusted."""
    for part in (snapshot(4, A, B), delta(5, 4, A, holding=(A, B))):
        with pytest.raises(Resync, match="goes back"):
            cache.apply(part)
    with pytest.raises(Resync, match="behind"):
        cache.confirm(Bookmark(position(4), digest_of([A, B])))
    assert cache.resumes_from == position(5)


def test_another_epoch_may_begin_anywhere(cache: Cache) -> None:
    """A restore makes a new history; its snapshot counts whatever its number."""
    cache.apply(snapshot(1, A, epoch="epoch-2"))
    assert cache.resumes_from == position(1, "epoch-2")


def test_a_digest_that_does_not_hold_changes_nothing_and_asks_for_a_snapshot(cache: Cache) -> None:
    """A record lost on the way is noticed at once."""
    with pytest.raises(Resync, match="digest"):
        cache.apply(delta(5, 6, record(boolean("c"), 6), holding=(A, B)))
    assert revision(cache) == 5
    assert cache.resumes_from is None


def test_an_update_without_position_is_refused(cache: Cache) -> None:
    """Blank is not a place in a history."""
    with pytest.raises(Resync, match="without a position"):
        cache.apply(replace(snapshot(6, A, B), position=position(6, "")))


def test_a_bookmark_confirms_and_moves_over_revisions_that_changed_nothing(cache: Cache) -> None:
    """The same rules under a later number are followed, and acknowledged."""
    assert cache.confirm(Bookmark(position(5), digest_of([A, B]))) is None
    assert cache.confirm(Bookmark(position(8), digest_of([B, A]))) == Acknowledgement(position(8), digest_of([A, B]))
    assert cache.resumes_from == position(8)


@pytest.mark.parametrize(
    "bookmark",
    [
        Bookmark(position(5), digest_of([A])),
        Bookmark(position(9), digest_of([A])),
        Bookmark(position(5, "epoch-2"), digest_of([A, B])),
        Bookmark(replace(position(5), digest=b"another history".ljust(32)), digest_of([A, B])),
    ],
    ids=["other rules", "missed an update", "other epoch", "forked history"],
)
def test_a_bookmark_that_disagrees_asks_for_a_snapshot(cache: Cache, bookmark: Bookmark) -> None:
    """Client and server must hold the same."""
    with pytest.raises(Resync):
        cache.confirm(bookmark)
    assert cache.resumes_from is None
    assert revision(cache) == 5


def test_a_file_comes_back_as_it_was_held() -> None:
    """Last good rules, quarantine, kill and cohorts survive a restart."""
    before = Cache()
    staff = cohort("staff", "u-1")
    chunks = tuple((chunk.digest, chunk.data) for chunk in staff.include.chunks)
    first = (A, record(staff, 2), record(for_cohort("c", "staff"), 2))
    before.apply(replace(snapshot(5, *first), chunks=chunks))
    bad, kill = record(broken(boolean("a")), 6), record(FlagState("c", killed=True), 6)
    before.apply(delta(5, 6, bad, kill, holding=(bad, *first[1:], kill)))
    held = before.held
    assert held is not None
    file = pack(held.position, [*held.good.values(), *held.records.values()], held.chunks.values())
    after = Cache()
    loaded = after.load(unpack(file))
    assert after.resumes_from == position(6)
    assert loaded.quarantined == held.quarantined
    assert loaded.digest == held.digest
    assert loaded.records == held.records
    assert loaded.good == held.good
    assert loaded.compiled.flags["a"].flag == boolean("a")
    assert loaded.compiled.flags["c"].killed
    assert loaded.refused.keys() == {(RecordKind.FLAG, "a")}


def test_a_file_whose_digest_does_not_hold_is_used_but_not_resumed_from() -> None:
    """Old rules are better than none; a delta on top of them is not."""
    cache = Cache()
    cache.load(replace(unpack(pack(position(5), [A], ())), ruleset_digest=bytes(32)))
    assert revision(cache) == 5
    assert cache.resumes_from is None
