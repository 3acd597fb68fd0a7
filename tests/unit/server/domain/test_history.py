"""Differences, past states, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.domain.checkpoint import Checkpoint
from rollout_server.domain.entries import Head, commit
from rollout_server.domain.history import difference, revert, state_at
from rollout_server.domain.journal import Draft, Entry, State, fold
from rollout_server.domain.resources import Resource
from rollout_server.errors import Conflict, NotFound
from tests.doubles.fake_clock import START_MS
from tests.journal_world import cohort, draft, flag, flag_id

EMPTY = State(Position("e", 0, bytes(32)))


def grown(state: State, *drafts: Draft) -> tuple[State, list[Entry]]:
    """The state after these drafts, and their entries."""
    entries = []
    for item in drafts:
        entry, _ = commit(Head(state.position.revision, state.position.digest, state.at_ms), item)
        state = fold(state, [entry])
        entries.append(entry)
    return state, entries


def undone(drafts: Sequence[Draft], index: int) -> tuple[Draft, State]:
    """The draft that undoes one of these, and the state it is written on."""
    before, _ = grown(EMPTY, *drafts[:index])
    now, entries = grown(EMPTY, *drafts)
    return revert(entries[index], before, now, draft(action="revert", reason="oops")), now


def resources(state: State) -> dict[str, Resource]:
    return {str(name): resource.at_version(0) for name, resource in state.resources.items()}


def test_a_difference_is_of_content() -> None:
    """Created, deleted and changed are told in order; changed and changed back is no difference."""
    before, _ = grown(EMPTY, draft(flag("a"), flag("b"), flag("c"), flag("d")))
    after, _ = grown(
        before,
        draft(flag("a", "on"), flag("c", "on"), flag_id("b"), cohort("x")),
        draft(flag("c"), flag("d", killed=True)),
    )
    assert [(str(item.id), item.before is None, item.after is None) for item in difference(before, after)] == [
        ("cohort/x", True, False),
        ("flag/a", False, False),
        ("flag/b", False, True),
        ("flag/d", False, False),
    ]
    assert difference(after, after) == ()


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ([0], [False]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_equal_is_not_the_same(old: object, new: object) -> None:
    """Values that Python calls equal but JSON does not write alike are a difference."""
    before, _ = grown(EMPTY, draft(flag("a", value=old)))  # type: ignore[arg-type]
    after, _ = grown(before, draft(flag("a", value=new)))  # type: ignore[arg-type]
    assert len(difference(before, after)) == 1


def history() -> tuple[Checkpoint, list[Entry]]:
    base, _ = grown(EMPTY, draft(flag("a"), at_ms=START_MS), draft(flag("b"), at_ms=START_MS + 10))
    _, entries = grown(
        base,
        draft(flag("a", "on"), at_ms=START_MS + 20),
        draft(flag_id("b"), at_ms=START_MS + 20),
        draft(flag("c"), at_ms=START_MS + 30),
    )
    return Checkpoint(base), entries


@pytest.mark.parametrize(
    ("point", "revision"),
    [
        ({}, 5),
        ({"revision": 2}, 2),
        ({"revision": 4}, 4),
        ({"revision": 5}, 5),
        ({"at_ms": START_MS + 10}, 2),
        ({"at_ms": START_MS + 19}, 2),
        ({"at_ms": START_MS + 20}, 4),
        ({"at_ms": START_MS + 10_000}, 5),
    ],
)
def test_a_point_of_the_past_is_replayed(point: dict[str, Any], revision: int) -> None:
    """A revision, or the last entry at or before a time."""
    assert state_at(*history(), **point).position.revision == revision


@pytest.mark.parametrize("point", [{"revision": 1}, {"revision": 6}, {"at_ms": START_MS + 9}])
def test_a_point_that_is_not_kept_is_refused(point: dict[str, Any]) -> None:
    """Older than the checkpoint, or not yet: a clear refusal with what there is."""
    with pytest.raises(NotFound) as refusal:
        state_at(*history(), **point)
    assert refusal.value.hint


def test_before_everything_there_was_nothing() -> None:
    """Where nothing was compacted, any early time is the empty beginning."""
    _, entries = grown(EMPTY, draft(flag("a")))
    assert state_at(Checkpoint(EMPTY), entries, at_ms=0) == EMPTY
    assert state_at(Checkpoint(EMPTY), entries, revision=0) == EMPTY


def test_undoing_an_update_restores_the_spec_and_keeps_the_status() -> None:
    """The earlier spec comes back; a flag that was killed by the same entry's successor stays killed."""
    back, now = undone([draft(flag("a"), cohort("c")), draft(flag("a", "on"), cohort("c", "u-1"))], 1)
    assert back.reads == {flag_id("a"): 2, cohort("c").id: 2}
    after, _ = grown(now, back)
    assert resources(after) == {"flag/a": flag("a"), "cohort/c": cohort("c")}
    assert (back.action, back.reason) == ("revert", "oops")


def test_undoing_keeps_what_verbs_wrote() -> None:
    """An entry that both killed and changed a flag is undone in its spec alone: undoing never lifts a kill."""
    back, now = undone([draft(flag("a")), draft(flag("a", "on", killed=True))], 1)
    after, _ = grown(now, back)
    assert resources(after) == {"flag/a": flag("a", killed=True)}


def test_undoing_a_kill_changes_nothing() -> None:
    """Only specs go back; a kill has an undo of its own."""
    back, _ = undone([draft(flag("a")), draft(flag("a", killed=True), action="kill")], 1)
    assert back.changes == ()


def test_undoing_a_creation_deletes_and_undoing_a_deletion_brings_back() -> None:
    """What came goes; what went comes back whole, with its salt, and killed if it was."""
    back, now = undone([draft(flag("a"), flag("b", killed=True)), draft(flag_id("b"), flag("c"))], 1)
    assert back.reads == {flag_id("b"): 0, flag_id("c"): 2}
    after, _ = grown(now, back)
    assert resources(after) == {"flag/a": flag("a"), "flag/b": flag("b", killed=True)}


def test_later_changes_are_a_conflict_that_names_them_all() -> None:
    """Undoing an entry never overwrites what came after it, nor resurrects what was deleted since."""
    drafts = [
        draft(flag("a"), flag("b"), flag("c"), flag("d"), flag("e")),
        draft(flag("a", "on"), flag("b", "on"), flag_id("c"), flag("d", "on")),
        draft(flag("a"), flag_id("b"), flag("c")),
    ]
    with pytest.raises(Conflict) as refusal:
        undone(drafts, 1)
    assert refusal.value.what == "flag/a, flag/b, flag/c"
    assert str(refusal.value).endswith(
        "expected revision 2, found flag/a at revision 3, flag/b deleted since, flag/c at revision 3"
    )
    assert "undo those first" in refusal.value.hint


@pytest.mark.parametrize(
    ("later", "found"),
    [(draft(flag("a")), "found revision 3"), (draft(flag_id("a")), "found that it was deleted since")],
)
def test_a_conflict_over_one_resource_is_a_sentence(later: Draft, found: str) -> None:
    """No code of ours stands where a word should."""
    with pytest.raises(Conflict, match=f"^flag/a moved: expected revision 2, {found}$"):
        undone([draft(flag("a")), draft(flag("a", "on")), later], 1)


def test_undoing_twice_is_a_conflict_or_nothing() -> None:
    """After a revert, the entry it undid is no longer the last word on anything."""
    before, _ = grown(EMPTY, draft(flag("a")))
    now, (entry,) = grown(before, draft(flag("a", "on")))
    after, _ = grown(now, revert(entry, before, now, draft()))
    with pytest.raises(Conflict):
        revert(entry, before, after, draft())


def test_the_state_before_must_be_the_one_before() -> None:
    """A caller that replayed to the wrong revision is told so, instead of restoring the wrong spec."""
    now, entries = grown(EMPTY, draft(flag("a")), draft(flag("a", "on")))
    with pytest.raises(ValueError, match="not undone from revision 0"):
        revert(entries[1], EMPTY, replace(now), draft())
