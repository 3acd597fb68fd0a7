"""The state as the fold of the log."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.domain.entries import Head, commit
from rollout_server.domain.journal import GENESIS_DIGEST, Draft, Entry, State, fold
from tests.doubles.fake_clock import START_MS
from tests.journal_world import cohort, draft, flag, flag_id

EMPTY = State(Position("e", 0, GENESIS_DIGEST))


def entries(*drafts: Draft) -> list[Entry]:
    head, found = Head(), []
    for item in drafts:
        entry, _ = commit(head, item)
        head = Head(entry.revision, entry.digest, entry.at_ms)
        found.append(entry)
    return found


def test_folding_applies_entries_in_order() -> None:
    """Created, changed, deleted; position, digest and time are those of the last entry."""
    log = entries(
        draft(flag("a"), flag("b")), draft(flag("a", "on"), cohort("c")), draft(flag_id("b"), at_ms=START_MS + 7)
    )
    state = fold(EMPTY, log)
    assert {str(name): resource.version for name, resource in state.resources.items()} == {"flag/a": 2, "cohort/c": 2}
    assert (state.position, state.at_ms) == (Position("e", 3, log[-1].digest), START_MS + 7)


def test_folding_in_two_steps_is_folding_in_one() -> None:
    """A replica that follows comes to the state of one that loads."""
    log = entries(draft(flag("a")), draft(flag("b")), draft(flag_id("a")))
    assert fold(fold(EMPTY, log[:1]), log[1:]) == fold(EMPTY, log)


def test_the_state_before_is_left_alone() -> None:
    """Whoever still reads the earlier state sees it unchanged."""
    before = fold(EMPTY, entries(draft(flag("a"))))
    kept = dict(before.resources)
    fold(before, entries(draft(flag("a")), draft(flag_id("a")))[1:])
    assert dict(before.resources) == kept


def test_deleting_what_is_not_there_is_nothing() -> None:
    """A log never stops the fold by naming a resource that is gone already."""
    assert dict(fold(EMPTY, entries(draft(flag_id("a")))).resources) == {}


def test_a_gap_is_a_bug_of_the_caller() -> None:
    """Entries that do not follow are refused, not applied."""
    log = entries(draft(flag("a")), draft(flag("b")))
    with pytest.raises(ValueError, match="entry 2 does not follow revision 0"):
        fold(EMPTY, log[1:])
    with pytest.raises(ValueError, match="entry 1 does not follow revision 1"):
        fold(fold(EMPTY, log[:1]), log)
