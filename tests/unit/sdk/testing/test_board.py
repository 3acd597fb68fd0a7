"""The rules of a test, revision by revision."""

from collections.abc import Callable

from rollout_sdk.engine.model import Position
from rollout_sdk.held import Held, work_out
from rollout_sdk.testing.board import Board
from rollout_sdk.wire.records import RecordKind


def test_whoever_follows_holds_the_same_as_whoever_comes_late() -> None:
    """A delta from anywhere and a snapshot lead to one digest."""
    board, followed = Board(), None
    early: list[Held] = []
    changes: tuple[Callable[[], int], ...] = (
        lambda: board.set({"a": True, "b": 1}),
        lambda: board.set({"a": False}),
        lambda: board.kill("b"),
        lambda: board.remove(["a"]),
        lambda: board.set({"a": "text"}),
    )
    for change in changes:
        change()
        followed = work_out(followed, [board.part_since(followed.position if followed else None)])
        early.append(followed)
    snapshot = board.part_since(None)
    late = work_out(None, [snapshot])
    assert followed is not None
    assert late.digest.to_bytes() == followed.digest.to_bytes() == snapshot.ruleset_digest
    for held in early:
        caught_up = work_out(held, [board.part_since(held.position)])
        assert caught_up.digest.to_bytes() == snapshot.ruleset_digest
        assert caught_up.position == board.position
        assert caught_up.quarantined == ()


def test_what_is_set_again_as_it_was_travels_no_more() -> None:
    """True is not 1, though: that is another flag."""
    board = Board()
    revision = board.set({"a": {"deep": True}, "b": 1})
    before = board.position
    assert board.set({"a": {"deep": True}, "b": 2}) == revision + 1
    assert [record.key for record in board.part_since(before).records] == ["b"]
    board.remove(["b"])
    after = board.position
    board.set({"a": {"deep": 1}, "b": 2})
    assert board.part_since(before).removed == ()
    board.remove(["b"])
    assert [key for _, key in board.part_since(after).removed] == ["b"]
    latest = board.position
    board.set({"b": 2})
    board.remove(["a"])
    assert [key for _, key in board.part_since(latest).removed] == ["a"]
    board.set({"a": {"deep": 1}})
    assert [record.key for record in board.part_since(before).records] == ["b", "a"]


def test_only_positions_of_this_history_are_known() -> None:
    """Another epoch, another digest or a revision to come is none."""
    board = Board()
    board.set({"a": True})
    here = board.position
    assert board.holds(here)
    assert not board.holds(Position("other", here.revision, here.digest))
    assert not board.holds(Position(here.epoch, here.revision, b"other"))
    assert not board.holds(Position(here.epoch, here.revision + 1, here.digest))
    assert board.bookmark().position == here


def test_a_kill_is_a_record_of_its_own() -> None:
    """As on the wire of a real server."""
    board = Board()
    board.set({"a": True})
    before = board.position
    board.kill("a")
    assert [record.kind for record in board.part_since(before).records] == [RecordKind.FLAG_STATE]
