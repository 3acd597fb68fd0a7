"""Points of history."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout_server.app.documents import read_documents
from rollout_server.app.moments import NOW, At
from rollout_server.domain.journal import Change, Draft, State
from rollout_server.domain.resources import CohortStatus
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.errors import NotFound, Unavailable
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import cohort, cohort_id, delete, flag, flag_id, opened, put

HOUR_MS = 3_600_000


async def test_every_revision_can_be_replayed() -> None:
    """At any revision the state is what it was when that revision was the newest."""
    async with opened() as environment:
        states = [environment.state]
        for number in range(12):
            await put(environment, flag(f"f{number % 5}"))
            states.append(environment.state)
        await delete(environment, flag_id("f1"))
        states.append(environment.state)
        for revision in [13, 0, 7, 3, 12, 7, 1, 0]:
            assert await environment.state_at(At(revision=revision)) == states[revision]
        assert await environment.state_at(NOW) is environment.state


async def test_a_time_means_the_last_entry_at_or_before_it() -> None:
    """Between two entries the earlier one counts; before the first there is nothing; later than the last is now."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        for _ in range(3):
            await put(environment, flag("a"))
            clock.advance(HOUR_MS)
        revisions = [
            (await environment.state_at(At(time_ms=time_ms))).position.revision
            for time_ms in (START_MS - 1, START_MS, START_MS + 1, START_MS + HOUR_MS, START_MS + 99 * HOUR_MS)
        ]
        assert revisions == [0, 1, 1, 2, 3]


async def test_what_has_not_happened_is_not_found() -> None:
    """The future and nonsense are refused with what there is."""
    async with opened() as environment:
        await put(environment, flag("a"))
        for revision in (2, -1, 10**30):
            with pytest.raises(NotFound) as refusal:
                await environment.state_at(At(revision=revision))
            assert "newest revision here is 1" in refusal.value.hint


async def test_what_was_compacted_away_is_refused_plainly() -> None:
    """Older than the history that is kept: a clear refusal, by revision and by time."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    async with opened(journal, clock) as environment:
        for _ in range(4):
            await put(environment, flag("a"))
            clock.advance(HOUR_MS)
        assert await journal.compact(START_MS + 2 * HOUR_MS) == 2
        for at in (At(revision=1), At(time_ms=START_MS)):
            with pytest.raises(NotFound) as refusal:
                await environment.state_at(at)
            assert "kept from revision 2" in refusal.value.hint
        assert (await environment.state_at(At(revision=2))).position.revision == 2
        assert (await environment.state_at(At(time_ms=START_MS + HOUR_MS))).position.revision == 2
        assert (await environment.state_at(At(revision=3))).position.revision == 3


async def test_the_past_needs_the_store_only_once() -> None:
    """A point that was replayed stays at hand; another one is not guessed while the store is away."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        for _ in range(5):
            await put(environment, flag("a"))
        state = await environment.state_at(At(revision=2))
        journal.is_away = True
        assert await environment.state_at(At(revision=2)) is state
        with pytest.raises(Unavailable):
            await environment.state_at(At(revision=3))


async def test_the_ruleset_is_that_of_the_state_however_it_was_reached() -> None:
    """Entry by entry, or after many at once: the same ruleset as one made from nothing."""
    async with opened() as environment:
        await put(environment, flag("a"), flag("b", never=["beta"]), cohort("beta", "u-1"))
        assert environment.ruleset == ruleset_of(environment.state)
        await put(environment, flag("a", {"serve": "on"}), cohort("beta", "u-2"))
        await delete(environment, flag_id("b"))
        await put(environment, cohort("gamma", "u-3"))
        assert environment.ruleset == ruleset_of(environment.state)
        await delete(environment, cohort_id("beta"))
        await put(environment, flag("b"))
        assert environment.ruleset == ruleset_of(environment.state)
        moment = await environment.moment()
        assert (moment.state, moment.ruleset) == (environment.state, environment.ruleset)
        assert await environment.moment() is moment


async def test_what_did_not_change_is_the_same_object() -> None:
    """A revision costs what it changes: untouched flags and cohorts are neither hashed nor made again."""
    async with opened() as environment:
        await put(environment, flag("a"), cohort("beta", *[f"u-{number}" for number in range(100)]))
        before = environment.ruleset
        await put(environment, flag("b"))
        after = environment.ruleset
        assert after.flags["a"] is before.flags["a"]
        assert after.cohorts["beta"] is before.cohorts["beta"]


async def test_a_planned_cohort_is_not_hashed_again() -> None:
    """What was made for the plan is used when it is committed as planned."""
    async with opened() as environment:
        await put(environment, flag("a"))
        before = environment.ruleset
        wanted = replace(read_documents([cohort("beta", "u-1")]).resources[0], status=CohortStatus())
        planned = State(environment.position, {**environment.state.resources, wanted.id: wanted})
        hashed = ruleset_of(planned, (environment.state, before))
        environment.offer(planned, hashed)
        await environment.commit(Draft({}, (Change(wanted.id, wanted),), "mia", "put", START_MS))
        assert environment.ruleset.cohorts["beta"] is hashed.cohorts["beta"]


async def test_a_revision_that_becomes_the_past_while_one_waits_is_still_that_revision() -> None:
    """Asked for by number it is never the next one, however late the answer comes."""
    async with opened() as environment:
        await put(environment, flag("a"))
        async with environment._moments._making:
            waiting = asyncio.create_task(environment.moment(At(revision=1)))
            await asyncio.sleep(0)
            await put(environment, flag("a", default="on"))
        assert (await waiting).state.position.revision == 1


async def test_moments_are_made_while_entries_come() -> None:
    """Compiling leaves the loop free, and what comes meanwhile is not lost from the next ruleset."""
    async with opened() as environment:

        async def write() -> None:
            for number in range(40):
                await put(environment, flag(f"f{number}"))
                assert environment.ruleset == ruleset_of(environment.state)

        async def look() -> None:
            for _ in range(20):
                moment = await environment.moment()
                assert moment.ruleset == ruleset_of(moment.state)
                revision = environment.position.revision
                assert (await environment.moment(At(revision=revision))).state.position.revision == revision
                await asyncio.sleep(0)

        await asyncio.gather(write(), look(), look())
        past = await environment.moment(At(revision=20))
        assert past.ruleset == ruleset_of(past.state)
        assert await environment.moment(At(revision=20)) is past
