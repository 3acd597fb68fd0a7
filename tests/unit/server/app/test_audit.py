"""Audit: is the journal what was written, and memory what the journal says?"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from rollout_server.app.audit import head, verify
from rollout_server.domain.journal import State
from rollout_server.errors import Unavailable
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import flag, opened, put


async def test_an_untouched_journal_is_intact() -> None:
    """Every entry is checked, and the head that was kept is found."""
    async with opened() as environment:
        await put(environment, flag("a"))
        kept = head(environment)
        await put(environment, flag("b"))
        found = await verify(environment, kept)
        assert (found.intact, found.entries, found.problem) == (True, 2, "")
        assert found.head == environment.position


async def test_a_changed_entry_is_found() -> None:
    """One byte of the past."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("a"))
        await put(environment, flag("b"))
        line = journal._lines[0]
        journal._lines[0] = replace(line, body=line.body.replace(b"mia", b"tom"))
        found = await verify(environment)
        assert not found.intact
        assert "entry 1" in found.problem


async def test_a_truncated_tail_is_found_by_the_head_that_was_kept() -> None:
    """Without it, it cannot be: the promise says so."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("a"))
        await put(environment, flag("b"))
        kept = head(environment)
        journal._lines.pop()
        journal._state = replace(journal._state, position=replace(kept, revision=1, digest=journal._lines[-1].digest))
        assert not (await verify(environment, kept)).intact


async def test_a_memory_that_differs_is_found() -> None:
    """The log is intact and the server answers from something else: that is told, by name."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("a"))
        state = environment.state
        environment._moments.restart(State(state.position, MappingProxyType({}), state.at_ms))
        found = await verify(environment)
        assert not found.intact
        assert "flag/a" in found.problem


async def test_a_store_that_is_away_is_told() -> None:
    """No verdict is better than a wrong one."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        journal.is_away = True
        with pytest.raises(Unavailable):
            await verify(environment)
