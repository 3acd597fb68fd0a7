"""What was told to whom, and what is on its way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.app.notification_book import DONE_MAX, Message, NotificationBook
from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.notification import Notification, Notified, Sending
from tests.small_notifications import AT_MS, message

ONE = message()


def numbered(number: int) -> Notification:
    return replace(ONE, id=f"n-{number}")


def added(book: NotificationBook, one: Notification = ONE, channel: str = "team") -> Message:
    found = book.add(one, channel)
    assert found is not None
    return found


def test_a_message_goes_to_each_channel_once() -> None:
    book = NotificationBook()
    team, pager = added(book), added(book, channel="pager")
    assert book.add(ONE, "team") is None
    assert book.waiting() == (team, pager)
    assert book.waiting("pager") == (pager,)
    book.tried(team, Sending.DELIVERED, 7)
    assert book.add(ONE, "team") is None
    assert (book.waiting(), book.waiting_count) == ((pager,), 1)


def test_what_became_of_it_is_told_by_run() -> None:
    book = NotificationBook()
    team, pager = added(book), added(book, channel="pager")
    book.tried(team, Sending.RETRYING, 5, "no answer")
    book.tried(team, Sending.DELIVERED, 7)
    book.tried(pager, Sending.GIVEN_UP, 9, "no such channel", attempts=0)
    base = Notified(ONE.id, "checkout-v2-launch", 2, NoticeKind.HELD, "team", Sending.DELIVERED, 7, attempts=2)
    assert book.outcomes("checkout-v2-launch", 2) == (
        base,
        replace(base, channel="pager", sending=Sending.GIVEN_UP, at_ms=9, attempts=0, why="no such channel"),
    )
    assert book.outcomes("checkout-v2-launch", 1) == book.outcomes("other", 2) == ()
    added(book, numbered(1))
    assert book.outcomes("checkout-v2-launch", 2)[-1].sending is Sending.WAITING
    assert book.outcomes("checkout-v2-launch", 2)[-1].at_ms == ONE.at_ms == AT_MS + 10_000


def test_what_is_settled_stays_settled() -> None:
    """An attempt that ends late changes nothing."""
    book = NotificationBook()
    team = added(book)
    book.tried(team, Sending.GIVEN_UP, 7, "too many")
    before, changes = book.outcomes("checkout-v2-launch", 2), book.changes
    book.tried(team, Sending.DELIVERED, 9)
    assert (book.outcomes("checkout-v2-launch", 2), book.changes) == (before, changes)


def test_a_note_is_the_whole_book() -> None:
    """Messages under way are sent as they were, outcomes are told as before."""
    book = NotificationBook("e1", 7)
    book.tried(added(book), Sending.DELIVERED, 7)
    book.tried(added(book, channel="pager"), Sending.RETRYING, 8, "no answer")
    book.tried(added(book, channel="chat"), Sending.GIVEN_UP, 9, "no such channel")
    again = NotificationBook.read(json.loads(json.dumps(book.write())))
    assert (again.epoch, again.revision, again.changes) == ("e1", 7, 0)
    assert again.waiting() == book.waiting()
    assert again.outcomes("checkout-v2-launch", 2) == book.outcomes("checkout-v2-launch", 2)
    assert again.write() == book.write()
    assert again.add(ONE, "team") is None


def test_only_so_much_is_remembered() -> None:
    """The oldest of what is settled goes; what is on its way never does."""
    book = NotificationBook()
    waits = added(book, numbered(-1))
    for number in range(DONE_MAX + 10):
        book.tried(added(book, numbered(number)), Sending.DELIVERED, number)
    remembered = book.outcomes("checkout-v2-launch", 2)
    assert len(remembered) == DONE_MAX + 1
    assert {one.notification for one in remembered} >= {"n--1", "n-10", f"n-{DONE_MAX + 9}"}
    assert book.waiting() == (waits,)
    assert len(NotificationBook.read(book.write()).outcomes("checkout-v2-launch", 2)) == DONE_MAX + 1


@pytest.mark.parametrize(
    "note", [None, 7, [], {}, {"epoch": "e", "revision": "7", "messages": []}, {"epoch": "e", "revision": 7}]
)
def test_a_note_that_makes_no_sense_is_an_empty_book(note: Json) -> None:
    book = NotificationBook.read(note)
    assert (book.epoch, book.revision, book.waiting()) == ("", 0, ())


def test_what_makes_no_sense_in_a_note_is_left_out() -> None:
    """And the rest is kept."""
    book = NotificationBook("e1", 7)
    added(book)
    tree: Any = book.write()
    good = tree["messages"][0]
    bad: list[Json] = [
        7,
        {},
        {"outcome": None},
        {"outcome": [1, 2]},
        {**good, "notification": None},
        {**good, "notification": {**good["notification"], "id": "another"}},
        {**good, "outcome": [*good["outcome"][:5], "nonsense", *good["outcome"][6:]]},
    ]
    again = NotificationBook.read({**tree, "messages": [*bad, good, good]})
    assert again.write() == tree
