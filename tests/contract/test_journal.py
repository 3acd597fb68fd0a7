"""The promises of `ports.Journal`, asked of every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.domain.history import state_at
from rollout_server.domain.journal import GENESIS_DIGEST, Entry, State, fold
from rollout_server.errors import Conflict, NotFound, Unavailable
from rollout_server.ports import Journal
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.journal_world import cohort, draft, flag, flag_id, plain, redis_store, sqlite_store
from tests.real_redis import SharedRedis

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Stand:
    """A journal under test, its clock, and how to open a backup of it."""

    journal: Journal
    clock: FakeClock
    restore: Callable[[Path], Awaitable[Journal]]


class Opened:
    """Makes journals of one kind, and closes them in the end."""

    def __init__(self, kind: str, redis: Callable[[], SharedRedis], clock: FakeClock) -> None:
        self.kind = kind
        self.redis = redis
        self.clock = clock
        self.journals: list[Journal] = []

    async def first(self, path: Path) -> Journal:
        if self.kind == "memory":
            return self.keep(MemoryJournal(clock=self.clock))
        if self.kind == "sqlite":
            return self.keep(sqlite_store(path, self.clock).journal("production"))
        return self.keep((await redis_store(await self.redis().url(), self.clock)).journal("production"))

    async def restored(self, path: Path) -> Journal:
        if self.kind == "memory":
            return self.keep(MemoryJournal.restored(path, self.clock))
        if self.kind == "sqlite":
            return self.keep(sqlite_store(path, self.clock).journal("production"))
        return self.keep((await redis_store(await self.redis().url(), self.clock, restore=path)).journal("production"))

    def keep(self, journal: Journal) -> Journal:
        self.journals.append(journal)
        return journal


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    clock = FakeClock()
    opened = Opened(request.param, lambda: request.getfixturevalue("redis"), clock)
    yield Stand(await opened.first(tmp_path / "store.db"), clock, opened.restored)
    for journal in opened.journals:
        await journal.close()


async def take(journal: Journal, after: int, count: int) -> list[Entry]:
    """The next `count` entries of a tail."""
    found: list[Entry] = []
    tail = journal.tail(after)
    async for entry in tail:
        found.append(entry)
        if len(found) == count:
            break
    return found


async def test_a_new_journal_is_empty_at_revision_zero(stand: Stand) -> None:
    """Before the first commit there is a position to resume from, and nothing in it."""
    state = await stand.journal.load()
    assert (state.position.revision, state.position.digest, dict(state.resources)) == (0, GENESIS_DIGEST, {})
    assert state.position.epoch
    assert await stand.journal.entries(0, 10) == ()
    assert stand.journal.environment == "production"


async def test_a_commit_is_what_the_next_load_shows(stand: Stand) -> None:
    """An acknowledged commit is in the state, at the revision it was given, with the digest it was given."""
    entry = await stand.journal.commit(draft(flag("a"), cohort("b", "u-1"), reason="why not"))
    assert (entry.revision, entry.reason, [str(change.id) for change in entry.changes]) == (
        1,
        "why not",
        ["flag/a", "cohort/b"],
    )
    state = await stand.journal.load()
    assert state.position == Position(state.position.epoch, 1, entry.digest)
    assert plain(state) == {"flag/a": (1, flag("a").at_version(1)), "cohort/b": (1, cohort("b", "u-1").at_version(1))}


async def test_the_state_is_the_fold_of_the_log(stand: Stand) -> None:
    """Loading and folding every entry come to the same state, deletions included."""
    empty = await stand.journal.load()
    await stand.journal.commit(draft(flag("a"), flag("b")))
    await stand.journal.commit(draft(flag("a", "on"), flag_id("b")))
    await stand.journal.commit(draft(flag("b", killed=True)))
    state = await stand.journal.load()
    assert fold(empty, await stand.journal.entries(0, 10)) == state
    assert plain(state) == {
        "flag/a": (2, flag("a", "on").at_version(2)),
        "flag/b": (3, flag("b", killed=True).at_version(3)),
    }


async def test_a_read_that_moved_is_a_conflict_and_writes_nothing(stand: Stand) -> None:
    """Who decided upon an older version is told which resources moved, and nothing of the draft is written."""
    await stand.journal.commit(draft(flag("a"), flag("b")))
    await stand.journal.commit(draft(flag("a", "on")))
    with pytest.raises(Conflict) as refusal:
        await stand.journal.commit(draft(flag("c"), reads={flag_id("a"): 1, flag_id("b"): 1, flag_id("z"): 4}))
    assert (refusal.value.what, refusal.value.expected, refusal.value.actual) == ("flag/a, flag/z", "1, 4", "2, 0")
    state = await stand.journal.load()
    assert (state.position.revision, flag_id("c") in state.resources) == (2, False)


async def test_reading_zero_demands_that_there_is_none(stand: Stand) -> None:
    """Two who create the same flag do not overwrite each other."""
    await stand.journal.commit(draft(flag("a"), reads={flag_id("a"): 0}))
    with pytest.raises(Conflict):
        await stand.journal.commit(draft(flag("a", "on"), reads={flag_id("a"): 0}))


async def test_a_decision_of_another_history_is_a_conflict(stand: Stand) -> None:
    """After a loss the same version may be another resource: what was decided before the new epoch is refused."""
    before = (await stand.journal.load()).position
    await stand.journal.commit(draft(flag("a"), epoch=before.epoch))
    now = await stand.journal.renew_epoch()
    with pytest.raises(Conflict, match="epoch"):
        await stand.journal.commit(draft(flag("a", "on"), reads={flag_id("a"): 1}, epoch=before.epoch))
    assert (await stand.journal.commit(draft(flag("a", "on"), epoch=now.epoch))).revision == 2


async def test_of_many_concurrent_editors_one_wins(stand: Stand) -> None:
    """Twenty commits that rest on the same version: one entry, nineteen conflicts."""
    await stand.journal.commit(draft(flag("a")))
    editors = [stand.journal.commit(draft(flag("a", "on"), reads={flag_id("a"): 1})) for _ in range(20)]
    answers = await asyncio.gather(*editors, return_exceptions=True)
    assert sum(isinstance(answer, Entry) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19
    assert (await stand.journal.load()).position.revision == 2


async def test_concurrent_writers_of_other_flags_all_win(stand: Stand) -> None:
    """Races for the head are the journal's business: revisions are gapless and nobody sees a conflict."""
    entries = await asyncio.gather(*(stand.journal.commit(draft(flag(f"f{n}"))) for n in range(100)))
    assert sorted(entry.revision for entry in entries) == list(range(1, 101))
    assert (await stand.journal.verify((await stand.journal.load()).position)).intact


async def test_a_bug_in_one_draft_harms_only_that_draft(stand: Stand) -> None:
    """What cannot be stored is refused alone; commits that wait beside it go through."""
    bad = draft(flag("bad"), reason="half a surrogate \ud800")
    answers = await asyncio.gather(
        *(stand.journal.commit(item) for item in (draft(flag("a")), bad, draft(flag("b")))), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == ["Entry", "UnicodeEncodeError", "Entry"]
    assert set(plain(await stand.journal.load())) == {"flag/a", "flag/b"}
    with pytest.raises(ValueError, match="once"):
        await stand.journal.commit(draft(flag("a"), flag("a", "on")))
    assert (await stand.journal.load()).position.revision == 2


async def test_a_repeated_key_returns_the_first_entry(stand: Stand) -> None:
    """A retry after a lost answer changes nothing, even where its reads have moved since."""
    intent = draft(flag("a"), reads={flag_id("a"): 0}, idempotency_key="k1", fingerprint="f1")
    first = await stand.journal.commit(intent)
    await stand.journal.commit(draft(flag("a", "on")))
    assert await stand.journal.commit(intent) == first
    assert await stand.journal.recall("k1", "f1") == first
    assert (await stand.journal.load()).position.revision == 2


async def test_a_key_of_another_request_is_a_conflict(stand: Stand) -> None:
    """A key that was used for something else is refused, and says so."""
    await stand.journal.commit(draft(flag("a"), idempotency_key="k1", fingerprint="f1"))
    with pytest.raises(Conflict, match="idempotency key"):
        await stand.journal.commit(draft(flag("b"), idempotency_key="k1", fingerprint="f2"))
    with pytest.raises(Conflict, match="idempotency key"):
        await stand.journal.recall("k1", "f2")
    assert (await stand.journal.load()).position.revision == 1


async def test_keys_are_forgotten_after_seven_days(stand: Stand) -> None:
    """Within 7 days a key answers, after them it is free again; no key at all is never remembered."""
    await stand.journal.commit(draft(flag("a"), idempotency_key="k1", fingerprint="f1"))
    stand.clock.advance(7 * DAY_MS - 1)
    assert await stand.journal.recall("k1", "f1") is not None
    stand.clock.advance(1)
    assert await stand.journal.recall("k1", "f1") is None
    again = await stand.journal.commit(draft(flag("b"), idempotency_key="k1", fingerprint="f2"))
    assert again.revision == 2
    assert await stand.journal.recall("", "") is None


async def test_a_clock_that_went_back_reorders_nothing(stand: Stand) -> None:
    """An entry is never older than the one before it."""
    await stand.journal.commit(draft(flag("a"), at_ms=START_MS))
    entry = await stand.journal.commit(draft(flag("b"), at_ms=START_MS - DAY_MS))
    assert entry.at_ms == START_MS
    assert [item.at_ms for item in await stand.journal.entries(0, 10)] == [START_MS, START_MS]


async def test_what_stands_is_confirmed(stand: Stand) -> None:
    """Of an empty journal, and of one with entries, whether its last ones were compacted away or not."""
    await stand.journal.confirm((await stand.journal.load()).position)
    for _ in range(2):
        await stand.journal.commit(draft(flag("a", "on"), at_ms=START_MS))
        await stand.journal.confirm((await stand.journal.load()).position)
    await stand.journal.compact(START_MS + DAY_MS)
    await stand.journal.confirm((await stand.journal.load()).position)


async def test_entries_come_in_pages(stand: Stand) -> None:
    """Pages in order, bounded, and a clear refusal beyond the head."""
    for n in range(5):
        await stand.journal.commit(draft(flag(f"f{n}")))
    assert [entry.revision for entry in await stand.journal.entries(1, 2)] == [2, 3]
    assert await stand.journal.entries(5, 2) == ()
    assert await stand.journal.entries(0, 0) == ()
    with pytest.raises(NotFound):
        await stand.journal.entries(6, 2)


async def test_history_is_newest_first_and_of_one_resource(stand: Stand) -> None:
    """Who asks for a flag's history gets exactly the entries that changed it."""
    await stand.journal.commit(draft(flag("a")))
    await stand.journal.commit(draft(flag("b")))
    await stand.journal.commit(draft(flag("a", "on"), flag("b", "on")))
    await stand.journal.commit(draft(flag_id("a")))
    history = stand.journal.history
    assert [entry.revision for entry in await history(None, 0, 10)] == [4, 3, 2, 1]
    assert [entry.revision for entry in await history(None, 4, 2)] == [3, 2]
    assert [entry.revision for entry in await history(flag_id("a"), 0, 10)] == [4, 3, 1]
    assert [entry.revision for entry in await history(flag_id("a"), 4, 1)] == [3]
    assert await history(flag_id("z"), 0, 10) == ()


async def test_a_tail_yields_what_was_and_what_comes(stand: Stand) -> None:
    """A tail catches up, then follows: every entry once, in order."""
    await stand.journal.commit(draft(flag("f0")))
    following = asyncio.create_task(take(stand.journal, 0, 41))
    for n in range(1, 41):
        await stand.journal.commit(draft(flag(f"f{n}")))
    assert [entry.revision for entry in await following] == list(range(1, 42))


async def test_a_tail_ends_with_its_journal(stand: Stand) -> None:
    """Closing wakes who waits; nothing hangs."""
    following = asyncio.create_task(take(stand.journal, 0, 2))
    await stand.journal.commit(draft(flag("a")))
    await stand.journal.close()
    assert len(await following) <= 1
    with pytest.raises(Unavailable):
        await stand.journal.load()
    with pytest.raises(Unavailable):
        await stand.journal.commit(draft(flag("b")))


async def test_a_tail_refuses_what_it_cannot_follow(stand: Stand) -> None:
    """From before the oldest entry, from beyond the head, or across a new epoch: load again, never a silent gap."""
    await stand.journal.load()
    for n in range(4):
        await stand.journal.commit(draft(flag(f"f{n}"), at_ms=START_MS + n))
    await stand.journal.compact(START_MS + 2)
    with pytest.raises(NotFound):
        await take(stand.journal, 1, 1)
    with pytest.raises(NotFound):
        await take(stand.journal, 9, 1)
    following = asyncio.create_task(take(stand.journal, 4, 1))
    await take(stand.journal, 2, 2)
    await stand.journal.renew_epoch()
    with pytest.raises(Conflict, match="epoch"):
        await following


async def test_a_new_epoch_keeps_history_and_is_another_identity(stand: Stand) -> None:
    """Renewing changes the epoch and nothing else."""
    entry = await stand.journal.commit(draft(flag("a")))
    before = await stand.journal.load()
    position = await stand.journal.renew_epoch()
    after = await stand.journal.load()
    assert position == after.position == Position(position.epoch, 1, entry.digest)
    assert position.epoch != before.position.epoch
    assert after.resources == before.resources


async def test_a_backup_opens_as_a_new_epoch(stand: Stand, tmp_path: Path) -> None:
    """A restore is seen: same entries up to the backup, another epoch, and its own way from there."""
    await stand.journal.commit(draft(flag("a")))
    before = await stand.journal.load()
    await stand.journal.backup(tmp_path / "backup.db")
    await stand.journal.commit(draft(flag("a", "on")))
    restored = await stand.restore(tmp_path / "backup.db")
    state = await restored.load()
    assert (state.resources, state.position.revision) == (before.resources, 1)
    assert state.position.digest == before.position.digest
    assert state.position.epoch != before.position.epoch
    assert (await restored.commit(draft(flag("b")))).revision == 2
    assert (await restored.verify(None)).intact
    assert (await stand.journal.load()).position.revision == 2


async def test_compaction_drops_the_old_and_stays_verifiable(stand: Stand) -> None:
    """Older entries go, the state stays, the chain verifies from the checkpoint, and asking for more is refused."""
    for n in range(6):
        await stand.journal.commit(draft(flag("a", "on" if n % 2 else "off"), flag(f"f{n}"), at_ms=START_MS + n))
    before = await stand.journal.load()
    assert await stand.journal.compact(START_MS + 4) == 4
    assert await stand.journal.compact(START_MS + 4) == 0
    assert await stand.journal.load() == before
    with pytest.raises(NotFound) as refusal:
        await stand.journal.entries(3, 10)
    assert "4" in refusal.value.hint
    assert [entry.revision for entry in await stand.journal.entries(4, 10)] == [5, 6]
    assert [entry.revision for entry in await stand.journal.history(flag_id("a"), 0, 10)] == [6, 5]
    checkpoint = await stand.journal.checkpoint()
    assert checkpoint.state.position.revision == 4
    assert fold(checkpoint.state, await stand.journal.entries(4, 10)) == before
    found = await stand.journal.verify(before.position)
    assert (found.intact, found.entries, found.oldest_revision, found.problem) == (True, 2, 4, "")
    assert await stand.journal.compact(START_MS + DAY_MS) == 2
    assert (await stand.journal.commit(draft(flag("z")))).revision == 7
    assert (await stand.journal.load()).position.revision == 7
    assert (await stand.journal.verify(before.position)).intact


async def test_a_key_still_answers_after_its_entry_was_compacted(stand: Stand) -> None:
    """History may be kept for less than 7 days; a retry still gets its first answer."""
    intent = draft(flag("a"), idempotency_key="k1", fingerprint="f1")
    first = await stand.journal.commit(intent)
    await stand.journal.commit(draft(flag("b"), at_ms=START_MS + 5))
    assert await stand.journal.compact(START_MS + 5) == 1
    assert await stand.journal.commit(intent) == first
    await stand.journal.compact(START_MS + 6)
    assert await stand.journal.recall("k1", "f1") == first


async def test_a_past_state_is_what_it_was(stand: Stand) -> None:
    """Any kept revision or time gives exactly the state of then, also across a compaction; the rest is refused."""
    states: list[State] = [await stand.journal.load()]
    for n in range(8):
        gone = [flag_id(f"f{n - 2}")] if n > 2 else []
        item = draft(flag("a", "on" if n % 2 else "off"), flag(f"f{n}"), *gone, at_ms=START_MS + 10 * n)
        await stand.journal.commit(item)
        states.append(await stand.journal.load())
    for oldest in (0, 3):
        assert await stand.journal.compact(START_MS + 10 * oldest) == oldest
        checkpoint, entries = await stand.journal.checkpoint(), await stand.journal.entries(oldest, 100)
        for revision in range(oldest, 9):
            assert await stand.journal.state_at(revision=revision) == states[revision]
            assert state_at(checkpoint, entries, revision=revision) == states[revision]
        for revision in range(max(oldest, 1), 9):
            assert await stand.journal.state_at(at_ms=START_MS + 10 * revision - 1) == states[revision]
    assert await stand.journal.state_at() == await stand.journal.state_at(at_ms=START_MS + DAY_MS) == states[8]
    for point in ({"revision": 2}, {"revision": 9}, {"at_ms": START_MS + 19}):
        with pytest.raises(NotFound) as refusal:
            await stand.journal.state_at(**point)
        assert refusal.value.hint


async def test_verification_names_a_cut_tail_only_against_a_head(stand: Stand) -> None:
    """Without an expected head a shorter log verifies, and the answer says that the tail was not checked."""
    await stand.journal.commit(draft(flag("a")))
    head = (await stand.journal.load()).position
    found = await stand.journal.verify(None)
    assert (found.intact, found.is_tail_checked, found.head, found.entries) == (True, False, head, 1)
    assert (await stand.journal.verify(head)).is_tail_checked
    longer = replace(head, revision=2, digest=b"x" * 32)
    found = await stand.journal.verify(longer)
    assert not found.intact
    assert "tail was cut off" in found.problem
    found = await stand.journal.verify(replace(head, digest=b"x" * 32))
    assert not found.intact
    assert "another history" in found.problem
    assert (await stand.journal.verify(replace(head, epoch="elsewhere"))).intact
