"""Entries as bytes in a chain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.domain.entries import (
    Head,
    Line,
    body_of,
    check_after,
    check_reads,
    commit,
    digest_of,
    follow,
    outline,
    read_entry,
)
from rollout_server.domain.journal import GENESIS_DIGEST, Change, Draft, Entry
from rollout_server.errors import Conflict, Corrupt, NotFound
from tests.doubles.fake_clock import START_MS
from tests.journal_world import cohort, draft, flag, flag_id


def chain(count: int) -> list[Line]:
    head, lines = Head(), []
    for n in range(count):
        _, line = commit(head, draft(flag("a", "on" if n % 2 else "off"), at_ms=START_MS + n))
        head = follow(head, line)
        lines.append(line)
    return lines


def test_the_first_entry_is_pinned_byte_for_byte() -> None:
    """Whoever has `sha256sum` can check a chain in ten years: the form of a body is frozen."""
    entry, line = commit(Head(), draft(cohort("beta", "u-1"), flag_id("gone"), reason="für Mia", idempotency_key="k"))
    assert line.body.decode() == (
        '{"revision":1,"at_ms":1800000000000,"actor":"mia@example.com (a1b2c3d4)","action":"apply",'
        '"reason":"für Mia","idempotency_key":"k","changes":[{"kind":"Cohort","key":"beta","after":'
        '{"kind":"Cohort","metadata":{"key":"beta"},"spec":{"include":["u-1"]},"status":{},"version":1}},'
        '{"kind":"Flag","key":"gone","after":null}]}'
    )
    assert line.digest == entry.digest == hashlib.sha256(bytes(32) + line.body).digest()


def test_the_digest_covers_the_one_before() -> None:
    """The same body after another history has another digest."""
    assert digest_of(GENESIS_DIGEST, b"x") != digest_of(b"\1" * 32, b"x")


def test_an_entry_is_read_as_it_was_written() -> None:
    """Resources, order and values survive, numbers with their type."""
    value: Json = {"z": 1, "a": [1.0, True, 2**70, "🙂", None], "b": {"y": -0.0, "x": 1e300}}
    entry, line = commit(Head(6, b"\7" * 32, 5), draft(flag("a", value=value), cohort(), flag_id("b"), reason="r"))
    found = read_entry(line)
    assert found == entry
    assert found.changes[0] == Change(flag_id("a"), flag("a", value=value).at_version(7))
    assert body_of(found) == line.body
    assert outline(line).changes[2] == (flag_id("b"), None)


def test_an_entry_is_never_older_than_the_one_before() -> None:
    """The head's time wins over a clock that went back."""
    assert commit(Head(1, GENESIS_DIGEST, START_MS + 5), draft(flag()))[0].at_ms == START_MS + 5


@pytest.mark.parametrize(
    "bad", [draft(flag(), flag("checkout", "on")), replace(draft(), changes=(Change(flag_id("a"), flag("b")),))]
)
def test_a_draft_that_contradicts_itself_is_a_bug(bad: Draft) -> None:
    """Twice the same resource, or under another's name: refused before anything is written."""
    with pytest.raises(ValueError, match=r"once|holds"):
        commit(Head(), bad)


def test_reads_name_everything_that_moved() -> None:
    """All of it at once, in order; what is not there has version 0."""
    with pytest.raises(Conflict) as refusal:
        check_reads({flag_id("b"): 2, flag_id("a"): 0, flag_id("c"): 3}, {flag_id("a"): 4, flag_id("c"): 3})
    assert (refusal.value.what, refusal.value.expected, refusal.value.actual) == ("flag/a, flag/b", "0, 2", "4, 0")
    check_reads({flag_id("a"): 4, flag_id("z"): 0}, {flag_id("a"): 4})


def test_reading_on_is_refused_outside_of_what_is_kept() -> None:
    """Before the checkpoint and beyond the head; both ends themselves are fine."""
    check_after(3, 3, 9)
    check_after(9, 3, 9)
    for after in (2, 10):
        with pytest.raises(NotFound):
            check_after(after, 3, 9)


def test_a_chain_follows_only_whole_and_in_order() -> None:
    """A dropped, repeated, reordered or changed line does not follow."""
    one, two, three = chain(3)
    after_one = follow(Head(), one)
    for wrong in (one, three, replace(two, body=two.body.replace(b"apply", b"appl1")), replace(two, digest=one.digest)):
        with pytest.raises(Corrupt):
            follow(after_one, wrong)
    assert follow(follow(after_one, two), three).revision == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"revision":1,"at_ms":1}',
        b'{"revision":1,"at_ms":1,"changes":[{"kind":"Flag"}]}',
        b'{"revision":1,"at_ms":1,"changes":[{"kind":"Sword","key":"a","after":null}]}',
        b'{"revision":1,"at_ms":1,"changes":[{"kind":"Flag","key":"a","after":{"kind":"Flag"}}]}',
        b'{"revision":2,"at_ms":1,"changes":[]}',
        b'{"revision":1,"at_ms":2,"changes":[]}',
    ],
)
def test_damage_is_named_as_damage(body: bytes) -> None:
    """Whatever lies in the place of a body, reading it says which entry is damaged."""
    with pytest.raises(Corrupt, match=r"entry 1"):
        read_entry(Line(1, 1, b"", body))


def test_an_outline_needs_no_reader() -> None:
    """Verification and compaction see the stored text, even of resources that this release cannot read."""
    tree = {"kind": "Flag", "something": "from a later release"}
    body = json.dumps({"revision": 1, "at_ms": 1, "changes": [{"kind": "Flag", "key": "a", "after": tree}]}).encode()
    assert outline(Line(1, 1, b"", body)).changes == ((flag_id("a"), tree),)


def test_an_entry_without_changes_is_an_entry() -> None:
    """Nothing prevents a verb from writing only who did what and why."""
    entry, line = commit(Head(), draft(reason="looked"))
    assert isinstance(entry, Entry)
    assert read_entry(line) == entry
