"""Revert: undo one entry."""

from __future__ import annotations

import pytest

from rollout_server.app.apply import Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.revert import Revert, revert
from rollout_server.app.tokens import CreateToken, create_token
from rollout_server.domain.resources import FlagStatus
from rollout_server.errors import Conflict, InvalidInput, NotFound, Refused
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, cohort, flag, flag_id, opened, under

QUARTER = {"split": {"on": "25%", "off": "75%"}}


async def given(environment: Environment, *documents: Document, prune: bool = False) -> None:
    await apply(environment, Apply(documents, prune=prune), MIA, NoFleet())


async def test_a_revert_writes_the_specs_that_stood_before() -> None:
    """Updated comes back, created goes, deleted returns: in one entry that tells of itself."""
    async with opened() as environment:
        await given(environment, flag("kept"), flag("gone", QUARTER))
        before = environment.state
        await given(environment, flag("kept", QUARTER), flag("new"), prune=True)
        done = await revert(environment, Revert(2), MIA, NoFleet())
        assert done.entry is not None
        assert (done.entry.action, done.position.revision) == ("revert", 3)
        now = {id_: one.at_version(0) for id_, one in environment.state.resources.items()}
        assert now == {id_: one.at_version(0) for id_, one in before.resources.items()}


async def test_a_kill_is_not_lifted_by_undoing_an_edit() -> None:
    """The bad edit of a killed flag is undone, and the flag stays killed until somebody says unkill."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await given(environment, flag("a", {"serve": "on"}))
        await kill(environment, Kill("a"), MIA)
        await revert(environment, Revert(2), MIA, NoFleet())
        after = environment.state.resources[flag_id("a")]
        assert isinstance(after.status, FlagStatus)
        assert after.status.killed
        assert after.spec == (await environment.journal.entries(0, 1))[0].changes[0].after.spec  # type: ignore[union-attr]  # it was created


async def test_a_flag_that_was_deleted_while_killed_comes_back_killed() -> None:
    """Undoing a deletion exposes nobody who was safe."""
    async with opened() as environment:
        await given(environment, flag("a", {"serve": "on"}), flag("b"))
        await kill(environment, Kill("a"), MIA)
        await given(environment, flag("b"), prune=True)
        await revert(environment, Revert(3), MIA, NoFleet())
        status = environment.state.resources[flag_id("a")].status
        assert isinstance(status, FlagStatus)
        assert status.killed


async def test_verbs_with_an_undo_of_their_own_are_not_reverted() -> None:
    """The refusal has the command to type: nobody unkills or lets somebody in by accident."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await kill(environment, Kill("a"), MIA)
        await unkill(environment, Unkill("a"), MIA)
        made = await create_token(environment, CreateToken("sdk", "shop"), MIA)
        undo = {2: "`rollout unkill a`", 3: "`rollout kill a`", 4: f"`rollout token revoke {made.token.id}`"}
        for revision, command in undo.items():
            with pytest.raises(Refused) as refusal:
                await revert(environment, Revert(revision), MIA, NoFleet())
            assert command in refusal.value.hint
        assert environment.position.revision == 4


async def test_later_edits_stand_in_the_way_by_name() -> None:
    """What somebody changed since is not overwritten."""
    async with opened() as environment:
        await given(environment, flag("a"), flag("b"))
        await given(environment, flag("a", QUARTER), flag("b", QUARTER))
        await given(environment, flag("b", {"serve": "on"}))
        with pytest.raises(Conflict, match="flag/b"):
            await revert(environment, Revert(2), MIA, NoFleet())


async def test_a_revert_must_fit_what_stands_now() -> None:
    """Undoing the creation of a cohort that a flag names since is refused, as deleting it would be."""
    async with opened() as environment:
        await given(environment, cohort("beta", "u-1"))
        await given(environment, flag("a", never=["beta"]))
        with pytest.raises(InvalidInput) as refusal:
            await revert(environment, Revert(1), MIA, NoFleet())
        assert [(one.resource, one.code) for one in refusal.value.problems] == [("cohort/beta", "still_referenced")]
        assert environment.position.revision == 2


async def test_what_stands_already_is_not_written() -> None:
    """Undone by hand in the meantime: nothing to do, and no entry."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await given(environment, flag("a", QUARTER))
        await revert(environment, Revert(2), MIA, NoFleet())
        await given(environment, flag("b"))
        with pytest.raises(Conflict):
            await revert(environment, Revert(2), MIA, NoFleet())


async def test_a_repeat_returns_the_first_answer() -> None:
    """A revert that arrives twice is one entry, and is not undone by its repeat."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await given(environment, flag("a", QUARTER))
        first = await revert(environment, Revert(2, under("key-1")), MIA, NoFleet())
        second = await revert(environment, Revert(2, under("key-1")), MIA, NoFleet())
        assert first.entry == second.entry
        assert environment.position.revision == 3


async def test_a_revert_of_a_revert_is_the_edit_again() -> None:
    """A revert is an entry like any other."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await given(environment, flag("a", QUARTER))
        edited = environment.state.resources[flag_id("a")].spec
        await revert(environment, Revert(2), MIA, NoFleet())
        await revert(environment, Revert(3), MIA, NoFleet())
        assert environment.state.resources[flag_id("a")].spec == edited


async def test_what_is_not_there_cannot_be_undone() -> None:
    """The future, the beginning, and what was compacted away."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    async with opened(journal, clock) as environment:
        await given(environment, flag("a"))
        clock.advance(1_000)
        await given(environment, flag("a", QUARTER))
        await journal.compact(START_MS + 1)
        for revision in (0, 1, 3, 10**20):
            with pytest.raises(NotFound):
                await revert(environment, Revert(revision), MIA, NoFleet())
        assert (await revert(environment, Revert(2), MIA, NoFleet())).entry is not None
