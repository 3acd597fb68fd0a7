"""Kill and unkill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.domain.journal import Change, Draft, Entry
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import FlagStatus, RolloutStatus
from rollout_server.errors import Conflict, InvalidInput, NotFound, Refused, Unavailable
from tests.doubles.memory_journal import MemoryJournal
from tests.rollout_room import documents, room
from tests.small_environment import MIA, cohort, document, flag, flag_id, opened, put, under


async def test_kill_changes_the_status_alone() -> None:
    """The spec, the salt and every other resource stay as they were; unkill leads back to the very same."""
    async with opened() as environment:
        await put(environment, flag("checkout", {"serve": "on"}), flag("other"), cohort("beta", "u-1"))
        before = environment.state
        done = await kill(environment, Kill("checkout", Intent(reason="it is on fire")), MIA)
        assert not done.unchanged
        assert done.entry is not None
        assert (done.entry.action, done.entry.actor, done.entry.reason) == ("kill", MIA.label, "it is on fire")
        after = environment.resource(flag_id("checkout"))
        assert after is not None
        assert after.spec == before.resources[flag_id("checkout")].spec
        assert isinstance(after.status, FlagStatus)
        assert after.status.killed
        assert done.position.revision == after.version == 2
        undone = await unkill(environment, Unkill("checkout"), MIA)
        assert undone.position.revision == 3
        now = environment.state.resources
        assert {id_: one.at_version(0) for id_, one in now.items()} == {
            id_: one.at_version(0) for id_, one in before.resources.items()
        }


async def test_killing_twice_writes_once() -> None:
    """A killed flag stays killed, and says that nothing changed; so does an unkilled one."""
    async with opened() as environment:
        await put(environment, flag("checkout"))
        assert (await unkill(environment, Unkill("checkout"), MIA)).unchanged
        await kill(environment, Kill("checkout"), MIA)
        again = await kill(environment, Kill("checkout"), MIA)
        assert again.unchanged
        assert again.entry is None
        assert environment.position.revision == 2


async def test_a_near_miss_is_named() -> None:
    """An unknown flag is refused with the flags that may have been meant."""
    async with opened() as environment:
        await put(environment, flag("checkout-v2"), cohort("checkout"))
        with pytest.raises(NotFound) as refusal:
            await kill(environment, Kill("chekout-v2"), MIA)
        assert refusal.value.hint == "did you mean checkout-v2?"
        with pytest.raises(NotFound) as refusal:
            await kill(environment, Kill("\ud800" * 1_000), MIA)
        assert "rollout get flags" in refusal.value.hint


async def test_a_repeat_returns_the_first_answer() -> None:
    """A repeat under the same key writes nothing, also after somebody lifted the kill meanwhile."""
    async with opened() as environment:
        await put(environment, flag("checkout"))
        first = await kill(environment, Kill("checkout", under("key-1")), MIA)
        await unkill(environment, Unkill("checkout"), MIA)
        second = await kill(environment, Kill("checkout", under("key-1")), MIA)
        assert second.entry == first.entry
        assert environment.position.revision == 3
        with pytest.raises(Conflict):
            await unkill(environment, Unkill("checkout", under("key-1")), MIA)


class Racing(MemoryJournal):
    """A journal in which another process is faster, as often as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.faster: list[Draft] = []

    async def commit(self, draft: Draft) -> Entry:
        if self.faster:
            await super().commit(self.faster.pop())
        return await super().commit(draft)


async def test_a_kill_beside_an_edit_loses_neither() -> None:
    """The flag is edited by another process at the same moment: the kill lands on the edited flag."""
    journal = Racing()
    async with opened(journal) as environment:
        await put(environment, flag("checkout"))
        old = environment.state.resources[flag_id("checkout")]
        edited = replace(old, metadata=replace(old.metadata, owner="payments"))
        journal.faster = [Draft({}, (Change(old.id, edited),), "tom", "edit", 0)]
        done = await kill(environment, Kill("checkout"), MIA)
        assert done.position.revision == 3
        after = environment.state.resources[flag_id("checkout")]
        assert after.metadata.owner == "payments"
        assert isinstance(after.status, FlagStatus)
        assert after.status.killed


async def test_a_store_that_is_away_is_told() -> None:
    """A kill that cannot be written says so, and changes nothing."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("checkout"))
        journal.is_away = True
        with pytest.raises(Unavailable):
            await kill(environment, Kill("checkout"), MIA)
        assert environment.position.revision == 1


async def test_reasons_are_one_visible_line() -> None:
    """What would break an audit log's line is refused before anything is written."""
    async with opened() as environment:
        await put(environment, flag("checkout"))
        with pytest.raises(InvalidInput):
            await kill(environment, Kill("checkout", Intent(reason="two\nlines")), MIA)
        assert environment.position.revision == 1


async def test_a_start_that_came_while_it_was_killed_is_not_made_up_for() -> None:
    """Lifting a kill resumes nothing; a start that is still to come stands."""
    for start, phase in (("2027-01-15T08:00:05Z", Phase.CANCELLED), ("2027-01-15T08:01:00Z", None)):
        async with room(*documents(start=start)) as stand:
            await kill(stand.environment, Kill("checkout"), MIA)
            stand.clock.advance(10_000)
            await stand.runs.tick()
            await unkill(stand.environment, Unkill("checkout"), MIA)
            await stand.runs.tick()
            status = stand.rollout().status
            assert isinstance(status, RolloutStatus)
            assert status.phase is phase
            stand.clock.advance(60_000)
            await stand.runs.tick()
            assert stand.run().phase is (phase or Phase.RUNNING)


async def test_a_frozen_flag_is_killed_but_not_brought_back() -> None:
    """To lift a kill grows: it waits for the thaw, or for somebody who is exempt."""
    freeze = {"from": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "except": ["kai@example.com"]}
    async with opened() as environment:
        await put(environment, flag("checkout", {"serve": "on"}), document("Freeze", "holidays", freeze))
        assert (await kill(environment, Kill("checkout"), MIA)).entry
        with pytest.raises(
            Refused, match=r"stays killed.*frozen by freeze/holidays until 2099-01-01 00:00 UTC"
        ) as refusal:
            await unkill(environment, Unkill("checkout"), MIA)
        assert refusal.value.rule == "freeze"
        assert str(refusal.value).endswith("it is frozen by freeze/holidays until 2099-01-01 00:00 UTC")
        assert (await unkill(environment, Unkill("checkout"), replace(MIA, person="kai@example.com"))).entry
