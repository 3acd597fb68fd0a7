"""Every way to tamper with a stored history, and what finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Json, Position
from rollout_server.domain.checkpoint import seal
from rollout_server.domain.entries import Head, Line, commit, digest_of, follow
from rollout_server.domain.files import canonical_json, write_stored
from rollout_server.domain.resources import ResourceId
from rollout_server.domain.verification import StoredHistory, StoredResource, verify_history
from tests.doubles.memory_journal import KEY
from tests.journal_world import cohort, draft, flag, flag_id

Tamper = Callable[[StoredHistory], StoredHistory]


def stored(count: int = 4) -> StoredHistory:
    """A history whose entries 1 and 2 were compacted into a checkpoint."""
    head, lines, index = Head(), [], []
    trees: dict[ResourceId, Json] = {}
    drafts = [
        draft(flag("a"), cohort("c")),
        draft(flag("b")),
        draft(flag("a", "on"), flag("b", "on")),
        draft(flag_id("b")),
    ]
    sealed = None
    for item in drafts[:count]:
        entry, line = commit(head, item)
        head = follow(head, line)
        for change in entry.changes:
            trees.pop(change.id, None)
            if change.after is not None:
                trees[change.id] = write_stored(change.after)
        if entry.revision == 2:
            sealed = seal("production", head, trees, KEY)
        if entry.revision > 2:
            lines.append(line)
            index += [(entry.revision, change.id) for change in entry.changes]
    resources = [StoredResource(name, canonical_json(tree)) for name, tree in trees.items()]
    return StoredHistory("production", KEY, Position("e", head.revision, head.digest), sealed, lines, index, resources)


def lines(history: StoredHistory) -> list[Line]:
    return list(history.lines)


def with_lines(history: StoredHistory, *changed: Line) -> StoredHistory:
    return replace(history, lines=changed)


def rewritten(history: StoredHistory) -> StoredHistory:
    """The whole chain made anew, consistently, with another author."""
    body = lines(history)[0].body.replace(b"mia@", b"eve@")
    three = replace(lines(history)[0], body=body, digest=digest_of(digest_of_checkpoint(history), body))
    four = replace(lines(history)[1], digest=digest_of(three.digest, lines(history)[1].body))
    return replace(with_lines(history, three, four), head=replace(history.head, digest=four.digest))


def digest_of_checkpoint(history: StoredHistory) -> bytes:
    head = Head()
    for item in (draft(flag("a"), cohort("c")), draft(flag("b"))):
        head = follow(head, commit(head, item)[1])
    return head.digest


def changed_body(history: StoredHistory) -> StoredHistory:
    three, four = lines(history)
    return with_lines(history, replace(three, body=three.body.replace(b"mia@", b"eve@")), four)


def resealed(history: StoredHistory) -> StoredHistory:
    three, four = lines(history)
    body = three.body.replace(b"mia@", b"eve@")
    return with_lines(history, replace(three, body=body, digest=digest_of(digest_of_checkpoint(history), body)), four)


def forged_checkpoint(history: StoredHistory) -> StoredHistory:
    assert history.checkpoint is not None
    return replace(
        history, checkpoint=replace(history.checkpoint, body=history.checkpoint.body.replace(b'"c"', b'"d"'))
    )


def edited_resource(history: StoredHistory) -> StoredHistory:
    first, *rest = history.resources
    return replace(history, resources=[replace(first, body=first.body + b" "), *rest])


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (changed_body, "entry 3: its digest does not hold"),
        (resealed, "entry 4: its digest does not hold"),
        (lambda h: with_lines(h, lines(h)[1]), "entry 4: it follows revision 2"),
        (lambda h: with_lines(h, lines(h)[1], lines(h)[0]), "entry 4: it follows revision 2"),
        (lambda h: with_lines(h, lines(h)[0], *lines(h)), "entry 3: it follows revision 3"),
        (lambda h: with_lines(h, lines(h)[0]), "index: it says that entry 4 changed flag/b"),
        (lambda h: replace(with_lines(h, lines(h)[0]), index=list(h.index)[:2]), "head: the store says"),
        (lambda h: with_lines(h, lines(h)[0], replace(lines(h)[1], at_ms=1)), "entry 4: its body says revision 4"),
        (lambda h: replace(h, checkpoint=None), "entry 3: it follows revision 0"),
        (forged_checkpoint, "checkpoint of production: it was not signed"),
        (lambda h: replace(h, environment="staging"), "checkpoint of staging: it is the checkpoint of 'production'"),
        (lambda h: replace(h, head=replace(h.head, digest=bytes(32))), "head: the store says"),
        (edited_resource, "differs from what the log says"),
        (lambda h: replace(h, resources=list(h.resources)[1:]), "it is not stored as current"),
        (
            lambda h: replace(h, resources=[*h.resources, StoredResource(flag_id("x"), b"{}")]),
            "flag/x: it is stored as current",
        ),
        (lambda h: replace(h, resources=[*h.resources, *h.resources]), "it is stored as current"),
        (lambda h: replace(h, index=list(h.index)[1:]), "index: it disagrees with entry 3"),
        (lambda h: replace(h, index=[(3, flag_id("z")), *list(h.index)[1:]]), "index: it disagrees with entry 3"),
    ],
)
def test_tampering_is_found_and_named(tamper: Tamper, problem: str) -> None:
    """Changed, resealed, dropped, reordered, repeated, cut, forged, edited beside the log: each is found."""
    found = verify_history(tamper(stored()))
    assert not found.intact
    assert problem in found.problem


def test_an_untouched_history_is_intact() -> None:
    """No false alarm, and the answer says what was looked at."""
    history = stored()
    found = verify_history(history, history.head)
    assert (found.intact, found.entries, found.oldest_revision, found.problem) == (True, 2, 2, "")
    assert (found.head, found.is_tail_checked) == (history.head, True)


def test_an_older_head_that_was_kept_is_enough() -> None:
    """A head kept last month still vouches for everything up to it."""
    history, older = stored(), stored(3).head
    assert verify_history(history, older).intact
    assert verify_history(history, Position("e", 2, digest_of_checkpoint(history))).intact


def test_a_whole_new_chain_is_found_only_against_a_kept_head() -> None:
    """Who can write the store can write another history: said plainly, and found by a head kept elsewhere."""
    history = stored()
    assert verify_history(rewritten(history)).intact
    found = verify_history(rewritten(history), history.head)
    assert "another history" in found.problem


def test_a_cut_tail_is_found_only_against_a_kept_head() -> None:
    """A shorter chain holds; the head kept elsewhere shows what is missing."""
    assert verify_history(stored(3)).intact
    assert not verify_history(stored(3)).is_tail_checked
    found = verify_history(stored(3), stored().head)
    assert "the log ends here, before the expected head 4" in found.problem


def test_a_head_older_than_what_is_kept_proves_nothing() -> None:
    """Asked about a revision that was compacted away, the answer is not yes."""
    found = verify_history(stored(), Position("e", 1, b"\1" * 32))
    assert not found.intact
    assert "keep a newer head" in found.problem
