"""One change, from the intent to the entry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.app.environment import Environment
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.transaction import ATTEMPTS_MAX, Composed, Request, transact
from rollout_server.domain.journal import Change, Draft, Entry
from rollout_server.domain.resources import FlagStatus, ResourceId
from rollout_server.errors import Conflict, InvalidInput, NotFound, Refused, Unavailable, Unknown
from tests.doubles.fake_clock import START_MS
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, flag, flag_id, opened, put


class Busy(MemoryJournal):
    """Every commit but the last few finds that its ground has moved."""

    refusals = 0

    async def commit(self, draft: Draft) -> Entry:
        if self.refusals:
            self.refusals -= 1
            raise Conflict("flag/a", 1, 2)
        return await super().commit(draft)


class Verb:
    """Writes the flag as it stands; counts how often it was asked."""

    def __init__(self, environment: Environment, *, is_needed: bool = True) -> None:
        self.environment = environment
        self.is_needed = is_needed
        self.calls = 0

    async def compose(self) -> Composed[str]:
        self.calls += 1
        resource = self.environment.state.resources[flag_id("a")]
        changes = (Change(resource.id, resource),) if self.is_needed else ()
        return Composed({resource.id: resource.version}, changes, "the answer")


def request(key: str = "", fingerprint: str = "f", reason: str = "because") -> Request:
    return Request("touch", "mia (a1b2c3d4)", Intent(key, reason), fingerprint)


async def test_an_entry_tells_who_what_when_and_why() -> None:
    """Everything of the request that history needs is in the entry."""
    async with opened() as environment:
        await put(environment, flag("a"))
        written = await transact(environment, request("key-1"), Verb(environment).compose)
        assert written.answer == "the answer"
        assert written.entry is not None
        entry = written.entry
        assert (entry.action, entry.actor, entry.at_ms, entry.reason, entry.idempotency_key) == (
            "touch",
            "mia (a1b2c3d4)",
            START_MS,
            "because",
            "key-1",
        )


async def test_nothing_to_change_writes_nothing() -> None:
    """No entry for what is so already."""
    async with opened() as environment:
        await put(environment, flag("a"))
        written = await transact(environment, request(), Verb(environment, is_needed=False).compose)
        assert (written.entry, written.answer) == (None, "the answer")
        assert environment.position.revision == 1


async def test_a_repeat_is_not_composed_again() -> None:
    """The first entry answers; the state is not even looked at."""
    async with opened() as environment:
        await put(environment, flag("a"))
        verb = Verb(environment)
        first = await transact(environment, request("key-1"), verb.compose)
        second = await transact(environment, request("key-1"), verb.compose)
        assert (second.entry, second.answer, verb.calls) == (first.entry, None, 1)
        with pytest.raises(Conflict, match="idempotency key"):
            await transact(environment, request("key-1", "another"), verb.compose)


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_repeat_that_overtook_its_first_call_hears_of_that(*, is_refused: bool) -> None:
    """What stands in the way of the second, or makes it needless, is the first with the same key."""
    async with opened() as environment:
        await put(environment, flag("a"))
        first = Verb(environment)

        async def compose() -> Composed[str]:
            await transact(environment, request("key-1"), first.compose)
            if is_refused:
                raise Refused("phase", "it was started", "nothing")
            return Composed({}, (), "it is so already")

        written = await transact(environment, request("key-1"), compose)
        assert written.entry is not None
        assert (written.entry.idempotency_key, written.answer) == ("key-1", None)
        assert first.calls == 1


async def test_lost_races_are_run_again_until_it_is_enough() -> None:
    """Each time the verb decides anew; at last the conflict is told."""
    journal = Busy()
    async with opened(journal) as environment:
        await put(environment, flag("a"))
        verb = Verb(environment)
        journal.refusals = ATTEMPTS_MAX - 1
        assert (await transact(environment, request(), verb.compose)).entry is not None
        assert verb.calls == ATTEMPTS_MAX
        journal.refusals = ATTEMPTS_MAX
        with pytest.raises(Conflict):
            await transact(environment, request(), verb.compose)
        journal.refusals = 1
        with pytest.raises(Conflict):
            await transact(environment, request(), verb.compose, attempts=1)


async def test_refusals_of_the_verb_are_the_callers() -> None:
    """What compose raises is not retried."""
    async with opened() as environment:

        async def refuse() -> Composed[None]:
            raise NotFound("flag", "a")

        with pytest.raises(NotFound):
            await transact(environment, request(), refuse)


class Lagging(MemoryJournal):
    """Its tails bring nothing before somebody asks what is newest: replicas that are behind until then."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        self.news.set()
        return await super().history(resource, before, limit)

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        async for entry in super().tail(after):
            await self.news.wait()
            yield entry


def is_killed(environment: Environment) -> bool:
    status = environment.state.resources[flag_id("a")].status
    return isinstance(status, FlagStatus) and status.killed


async def test_nothing_to_change_is_said_of_what_stands_and_not_of_what_a_lagging_replica_holds() -> None:
    """A flag that was unkilled at another replica is killed, though this one takes it for killed already."""
    journal = Lagging()
    async with opened(journal) as here, opened(journal) as there:
        await put(here, flag("a"))
        await kill(here, Kill("a"), MIA)
        await there.catch_up()
        journal.news.clear()
        await unkill(here, Unkill("a"), MIA)
        assert (is_killed(here), is_killed(there)) == (False, True)
        done = await kill(there, Kill("a"), MIA)
        assert (done.unchanged, done.position.revision, is_killed(there)) == (False, 4, True)


async def test_refusals_are_of_what_stands_too() -> None:
    """A version that this replica has not heard of yet is not refused for being another."""
    journal = Lagging()
    async with opened(journal) as here, opened(journal) as there:
        await put(here, flag("a"))
        verb = Verb(there)

        async def compose() -> Composed[str]:
            if flag_id("a") not in there.state.resources:
                raise Conflict("flag/a", 1, 0)
            return await verb.compose()

        assert not there.state.resources
        assert (await transact(there, request(), compose)).entry is not None


async def test_nobody_is_refused_upon_what_cannot_be_looked_up() -> None:
    """With the store away nothing is known to be so already: unavailable, as every change is."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("a"))
        journal.is_away = True
        with pytest.raises(Unavailable):
            await transact(environment, request(), Verb(environment, is_needed=False).compose)


class Unconfirmed(Lagging):
    """Its entries are not yet as safe as its store is set to make them."""

    async def confirm(self, position: Position) -> None:
        raise Unknown("redis", f"revision {position.revision} may be lost")


@pytest.mark.parametrize("is_behind", [True, False])
async def test_what_is_so_already_and_may_be_lost_is_not_acknowledged(*, is_behind: bool) -> None:
    """A kill that no replica of the store has confirmed is unknown to the next one who asks for it, too."""
    journal = Unconfirmed()
    async with opened(journal) as here, opened(journal) as there:
        await put(here, flag("a"))
        await kill(here, Kill("a"), MIA)
        if not is_behind:
            await there.catch_up()
        with pytest.raises(Unknown, match="revision 2 may be lost"):
            await kill(there, Kill("a"), MIA)


async def test_a_wrong_intent_is_told_before_anything() -> None:
    """Nothing is read or written for a request that no log could tell of."""
    async with opened() as environment:
        verb = Verb(environment)
        with pytest.raises(InvalidInput):
            await transact(environment, request(reason="two\nlines"), verb.compose)
        assert verb.calls == 0
