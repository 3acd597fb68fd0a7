"""One environment in memory, following its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from rollout_sdk.engine.model import Position
from rollout_server.app.environment import Environment
from rollout_server.domain.journal import Change, Draft, Entry, State, fold
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, TokenSpec, TokenStatus
from rollout_server.errors import Conflict, Corrupt, NotFound, Unavailable, Unknown
from tests.doubles.failing_journals import FailingTail, Overtaken, SilentTail, SwappedStore
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import opened

Seen = list[tuple[int | None, int, int]]


def token(key: str, person: str = "mia") -> Resource:
    return Resource(Kind.TOKEN, Metadata(key), TokenSpec("0" * 64, "sdk", person, 1, 2), TokenStatus())


def draft(key: str, person: str = "mia", reads: dict[ResourceId, int] | None = None) -> Draft:
    resource = token(key, person)
    return Draft(reads or {}, (Change(resource.id, resource),), "mia", "test", 1_000)


def watcher(environment: Environment) -> tuple[Seen, Callable[[Entry | None, State, State], None]]:
    seen: Seen = []

    def listener(entry: Entry | None, before: State, after: State) -> None:
        assert environment.state is after
        seen.append((entry.revision if entry else None, before.position.revision, after.position.revision))

    return seen, listener


async def test_a_writer_reads_its_own_write() -> None:
    """When commit returns, the state holds the entry, and the caller's entry is the one applied."""
    async with opened() as environment:
        entry = await environment.commit(draft("aaaaaaaa"))
        assert environment.position.revision == entry.revision == 1
        assert environment.position.digest == entry.digest
        assert environment.resource(ResourceId(Kind.TOKEN, "aaaaaaaa")) == token("aaaaaaaa").at_version(1)


async def test_every_listener_hears_each_entry_once_and_in_order() -> None:
    """Entries of this process and of others come in revision order, none twice, whichever road was faster."""
    async with opened() as environment:
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        for number in range(20):
            if number % 3:
                await environment.commit(draft(f"{number:08x}"))
            else:
                await environment.journal.commit(draft(f"{number:08x}"))
        await environment.wait_for(20)
        await environment.commit(draft("ffffffff"))
        assert seen == [(number, number - 1, number) for number in range(1, 22)]


async def test_concurrent_commits_are_all_applied_in_order() -> None:
    """A commit that overtakes another one's application waits for its turn."""
    async with opened() as environment:
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        entries = await asyncio.gather(*(environment.commit(draft(f"{number:08x}")) for number in range(50)))
        assert sorted(entry.revision for entry in entries) == list(range(1, 51))
        assert [revision for revision, _, _ in seen] == list(range(1, 51))


async def test_a_listener_that_fails_harms_nobody_else() -> None:
    """One listener's bug stops neither the others nor the tail."""
    async with opened() as environment:
        seen, listener = watcher(environment)

        def broken(entry: Entry | None, before: State, after: State) -> None:
            raise RuntimeError("a bug")

        environment.subscribe(broken)
        environment.subscribe(listener)
        await environment.commit(draft("aaaaaaaa"))
        await environment.journal.commit(draft("bbbbbbbb"))
        await environment.wait_for(2)
        assert [revision for revision, _, _ in seen] == [1, 2]


async def test_who_unsubscribes_hears_no_more() -> None:
    """Ending a subscription twice is harmless."""
    async with opened() as environment:
        seen, listener = watcher(environment)
        end = environment.subscribe(listener)
        end()
        end()
        await environment.commit(draft("aaaaaaaa"))
        assert seen == []


async def test_reads_go_on_from_memory_while_the_store_is_away() -> None:
    """With the store away the state stands, a write fails plainly, and both recover by themselves."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await environment.commit(draft("aaaaaaaa"))
        journal.is_away = True
        with pytest.raises(Unavailable):
            await environment.commit(draft("bbbbbbbb"))
        assert len(environment.state.resources) == 1
        journal.is_away = False
        await environment.commit(draft("bbbbbbbb"))
        assert environment.position.revision == 2


async def test_an_unavailable_tail_is_asked_again() -> None:
    """The entry whose delivery failed comes later, once; the state was never read anew."""
    journal = FailingTail()
    async with opened(journal) as environment:
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        journal.failures = [Unavailable("journal", "away")]
        await journal.commit(draft("aaaaaaaa"))
        await environment.wait_for(1)
        assert seen == [(1, 0, 1)]
        assert environment.is_following


@pytest.mark.parametrize(
    "failure",
    [
        Corrupt("entry 1", "damaged"),
        Conflict("epoch", "a", "b"),
        NotFound("revision", "0", "an older copy was put in its place"),
        RuntimeError("bug"),
    ],
)
async def test_after_damage_the_state_is_read_anew(failure: Exception) -> None:
    """What the tail cannot deliver is taken from the stored state, and listeners are told that it is whole."""
    journal = FailingTail()
    async with opened(journal) as environment:
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        journal.failures = [failure]
        await journal.commit(draft("aaaaaaaa"))
        await environment.wait_for(1)
        assert seen == [(None, 0, 1)]
        await environment.commit(draft("bbbbbbbb"))
        assert seen == [(None, 0, 1), (2, 1, 2)]


async def test_a_gap_is_never_jumped() -> None:
    """An entry that does not follow is not applied: the stored state is read instead."""
    journal = FailingTail()
    async with opened(journal) as environment:
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        journal.skip = {1}
        await journal.commit(draft("aaaaaaaa"))
        await journal.commit(draft("bbbbbbbb"))
        await environment.wait_for(2)
        assert seen == [(None, 0, 2)]
        assert environment.state == await journal.load()


async def test_another_history_is_taken_over_whole() -> None:
    """When the journal becomes a new epoch the state follows, and everything kept of the old one is forgotten."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await environment.commit(draft("aaaaaaaa"))
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        heard = asyncio.Event()
        environment.subscribe(lambda *_: heard.set())
        position = await journal.renew_epoch()
        await heard.wait()
        assert environment.position == position
        assert seen == [(None, 1, 1)]
        assert environment.ruleset.position == position


@pytest.mark.parametrize(
    ("persons", "is_same_epoch"),
    [
        pytest.param(["tom"], True, id="another entry of the same number"),
        pytest.param([], True, id="an older copy"),
        pytest.param(["tom", "ann"], True, id="another past, and further on"),
        pytest.param(["mia", "ann"], False, id="the same past in a new epoch, and further on"),
    ],
)
async def test_a_store_that_was_swapped_is_taken_over(persons: list[str], is_same_epoch: bool) -> None:  # noqa: FBT001 - a case
    """After the store was away, what it holds counts, however like ours it looks."""
    journal, other = SwappedStore(), MemoryJournal()
    for number, person in enumerate(persons):
        await other.commit(draft(f"{number:08x}", person))
    async with opened(journal) as environment:
        await environment.commit(draft(f"{0:08x}", "mia"))
        heard = asyncio.Event()
        environment.subscribe(lambda *_: heard.set())
        epoch = environment.position.epoch
        journal.become(other, epoch if is_same_epoch else "another")
        await heard.wait()
        await environment.catch_up()
        assert environment.state == await journal.load()
        assert environment.position.epoch != epoch
        assert is_same_epoch or environment.position.epoch == "another"


@pytest.mark.parametrize(("person", "is_lost"), [("tom", True), ("mia", False)])
async def test_a_loss_is_told_whatever_name_the_history_goes_by(person: str, *, is_lost: bool) -> None:
    """An old copy of the store is back, under the name that it had: not renamed, and not passed over in silence."""
    journal, other = SwappedStore(), MemoryJournal()
    await other.commit(draft(f"{0:08x}", person))
    async with opened(journal) as environment:
        await environment.commit(draft(f"{0:08x}", "mia"))
        heard = asyncio.Event()
        environment.subscribe(lambda *_: heard.set())
        with capture_logs() as logs:
            journal.become(other, "another")
            await heard.wait()
        assert environment.position.epoch == "another"
        assert any("has lost entries" in one["event"] for one in logs) is is_lost


async def test_a_history_that_was_only_compacted_keeps_its_name() -> None:
    """A server that was away for long finds its revision gone: it reads the state anew, and nothing was lost."""
    journal, ahead = SwappedStore(), MemoryJournal()
    async with opened(journal) as environment:
        await environment.commit(draft("aaaaaaaa"))
        heard = asyncio.Event()
        environment.subscribe(lambda *_: heard.set())
        epoch = environment.position.epoch
        ahead._lines = list(journal._lines)
        ahead._state = journal._state
        for number in range(3):
            await ahead.commit(replace(draft(f"{number:08x}"), at_ms=number))
        await ahead.compact(1 << 50)
        journal.become(ahead, epoch)
        await heard.wait()
        await environment.catch_up()
        assert (environment.position.epoch, environment.position.revision) == (epoch, 4)


@pytest.mark.parametrize("persons", [["tom"], []])
async def test_who_must_know_the_newest_is_not_answered_from_what_was_lost(persons: list[str]) -> None:
    """The store has another entry in the place of ours, or none, and the tail has not found out yet."""
    journal, other = SwappedStore(), MemoryJournal()
    await other.commit(draft(f"{0:08x}", "mia"))
    for person in persons:
        await other.commit(draft(f"{1:08x}", person))
    async with opened(journal) as environment:
        for number in range(2):
            await environment.commit(draft(f"{number:08x}", "mia"))
        journal._lines = list(other._lines)
        with pytest.raises(Unavailable, match="no longer has revision 2"):
            await environment.catch_up()


@pytest.mark.parametrize(
    "failure", [Unavailable("store", "it was away"), NotFound("revision", "1"), RuntimeError("a bug")]
)
async def test_what_is_committed_while_the_store_is_read_anew_is_not_taken_for_lost(failure: Exception) -> None:
    """No new epoch, which would send every SDK the whole state, and nothing goes back."""
    journal = Overtaken()
    async with opened(journal) as environment:
        await journal.commit(draft("aaaaaaaa"))
        await environment.wait_for(1)  # by the tail, which runs from now on
        seen, listener = watcher(environment)
        environment.subscribe(listener)
        epoch = environment.position.epoch
        journal.overtake = lambda: environment.commit(draft("cccccccc"))
        journal.failures.append(failure)
        await environment.commit(draft("bbbbbbbb"))
        await asyncio.wait_for(journal.overtaken.wait(), 30)
        await environment.commit(draft("dddddddd"))
        await environment.catch_up()
        assert environment.position.epoch == epoch
        assert seen == [(2, 1, 2), (3, 2, 3), (4, 3, 4)]


async def test_a_commit_that_never_arrives_is_not_told_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end; the error is not the one of what was not written, and the hint says that the change is."""
    monkeypatch.setattr("rollout_server.app.environment.APPLY_WAIT_S", 0.001)
    journal = SilentTail()
    async with opened(journal) as environment:
        await journal.commit(draft("aaaaaaaa"))
        with pytest.raises(Unknown) as unknown:
            await environment.commit(draft("bbbbbbbb"))
        assert "is written, as revision 2" in unknown.value.hint
        with pytest.raises(Unavailable) as refusal:
            await environment.catch_up()
        assert not isinstance(refusal.value, Unknown)
        assert "written" not in refusal.value.hint


async def test_catching_up_brings_what_others_wrote() -> None:
    """After it, everything that the store held at the call is here."""
    async with opened() as environment:
        await environment.catch_up()
        for number in range(300):
            await environment.journal.commit(draft(f"{number:08x}"))
        await environment.catch_up()
        assert environment.position.revision == 300


async def test_the_state_is_the_fold_of_the_log() -> None:
    """Memory holds exactly what replay gives."""
    async with opened() as environment:
        for number in range(30):
            await environment.commit(draft(f"{number % 7:08x}", person=f"p{number}"))
        beginning = State(replace(environment.position, revision=0, digest=bytes(32)))
        replayed = fold(beginning, await environment.journal.entries(0, 1_000))
        assert environment.state == replayed


async def test_it_starts_only_on_a_store_that_can_be_read() -> None:
    """A store that is away at the start is told, not waited for."""
    journal = MemoryJournal()
    journal.is_away = True
    environment = Environment(journal, FakeClock())
    with pytest.raises(Unavailable):
        await environment.start()
    assert environment.position == Position("", 0)
    await environment.close()


async def test_two_replicas_of_one_journal_agree() -> None:
    """Two replicas of one journal: what one commits the other answers from a moment later."""
    journal = MemoryJournal()
    one, other = Environment(journal, FakeClock()), Environment(journal, FakeClock())
    await one.start()
    await other.start()
    await one.commit(draft("aaaaaaaa"))
    await other.catch_up()
    assert one.state == other.state
    await one.close()
    await other.close()
    await journal.close()
