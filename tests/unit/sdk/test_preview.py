"""The first ruleset while it is read. That it decides as the whole does is in tests/properties/test_preview.py."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import PPM, FlagState, Origin, Reach, Reason, Requirement
from rollout_sdk.held import Held, work_out
from rollout_sdk.preview import FLAGS_MIN, SLICE_FLAGS, STACK_CALLS, Preview, preview
from rollout_sdk.wire.codec import wire_record
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import WireRecord
from rollout_sdk.wire.v1 import ruleset_pb2
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, broken, by_rollout, position, rollout

USER = Context("u")
ORIGIN = Origin("epoch-1", 1)
WAIT_S = 20
MANY = tuple(record(boolean(f"flag-{number}"), 1) for number in range(FLAGS_MIN))


def part(*records: WireRecord, digest: bytes | None = None) -> Part:
    return Part(True, 0, position(1), digest_of(records) if digest is None else digest, (), records)


def shown(*records: WireRecord) -> Preview:
    found = preview([part(*MANY, *records)])
    assert found is not None
    return found


def refused(early: Preview) -> list[tuple[str, int]]:
    return [(each.flag, each.version) for each in early.quarantined]


def test_few_flags_are_read_whole() -> None:
    """There is nothing to gain."""
    assert preview([part(*MANY[1:])]) is None


def test_what_looks_odd_is_left_to_who_says_what_is_wrong() -> None:
    """A digest that does not hold decides nothing; nor do deltas, or removals from nothing."""
    assert preview([part(*MANY, digest=bytes(32))]) is None
    assert preview([replace(part(*MANY), snapshot=False)]) is None
    assert preview([replace(part(*MANY), removed=((1, "gone"),))]) is None


def test_where_most_is_to_be_read_at_once_all_is() -> None:
    """Each flag would look through all that was read."""
    moved = [record(by_rollout(f"m{number}", f"r{number}"), 1) for number in range(100)]
    moved += [record(rollout(f"r{number}", f"m{number}"), 1) for number in range(100)]
    assert preview([part(*MANY, *moved)]) is None


def test_only_what_is_asked_for_is_read() -> None:
    """And what it requires."""
    child = replace(boolean("child"), requires=(Requirement("flag-7", ("on",)),))
    early = shown(record(child, 1))
    assert early.compiled.bind(ORIGIN).decide("child", USER).variant == "on"
    assert early.compiled.flags._known.keys() == {"child", "flag-7"}  # type: ignore[attr-defined] # looks inside


def test_a_bad_flag_is_quarantined_when_it_is_asked_for() -> None:
    """It has no rules in force, as it will have none; the others decide."""
    early = shown(record(broken(boolean("bad")), 3))
    decider = early.compiled.bind(ORIGIN)
    assert decider.decide("flag-1", USER).reason is Reason.DEFAULT
    assert refused(early) == []
    assert decider.decide("bad", USER, "mine").value == "mine"
    assert refused(early) == [("bad", 3)]


def test_a_bad_state_of_no_flag_is_known_from_the_start() -> None:
    """Nobody will ask for its flag."""
    message = ruleset_pb2.Record.FromString(record(FlagState("gone", killed=True), 2).data)
    message.payload = b"no protobuf"
    early = shown(wire_record(message))
    assert refused(early) == [("gone", 2)]


def test_a_kill_acts_on_a_flag_that_nobody_has_read() -> None:
    """It is read with the flag."""
    early = shown(record(boolean("bad"), 1), record(FlagState("bad", killed=True), 2))
    assert early.compiled.bind(ORIGIN).decide("bad", USER).reason is Reason.KILLED


def test_what_a_rollout_moves_is_counted_from_the_start() -> None:
    """Outcomes recorded without a decision are told apart by arm too."""
    early = shown(record(by_rollout("moved"), 1), record(rollout("x", "moved", Reach("canary", PPM)), 1))
    assert early.counted.keys() == {"moved"}


@pytest.mark.parametrize("key", ["nobody", "flag-1 "])
def test_keys_that_are_no_flags_are_not_kept(key: str) -> None:
    """Whoever asks for anything costs no memory."""
    early = shown()
    assert early.compiled.bind(ORIGIN).decide(key, USER).reason is Reason.UNKNOWN_FLAG
    assert not early.compiled.flags._known  # type: ignore[attr-defined] # looks inside


def test_threads_that_ask_at_once_get_the_same() -> None:
    """One of those who worked it out wins."""
    early = shown()
    decider, start = early.compiled.bind(ORIGIN), threading.Barrier(8)
    found: list[set[int]] = []

    def ask() -> None:
        start.wait()
        found.append({id(decider.decide(f"flag-{number}", USER)) for number in range(FLAGS_MIN)})

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == found[0] for each in found)
    assert len(found[0]) == FLAGS_MIN


def test_who_wants_all_flags_at_once_shares_the_work_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is stopped in the middle of a slice: another reads that too, and leaves the first nothing but it."""
    early = shown()
    read: list[int] = []
    reached, go_on, first = threading.Event(), threading.Event(), threading.get_ident()

    def counted(held: Held | None, parts: Sequence[Part]) -> Held:
        read.append(len(parts[0].records))
        if threading.get_ident() != first and not reached.is_set():
            reached.set()
            assert go_on.wait(WAIT_S)
        return work_out(held, parts)

    monkeypatch.setattr("rollout_sdk.preview.work_out", counted)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(len(early.compiled.bind(ORIGIN).decide_all(USER))))
    thread.start()
    assert reached.wait(WAIT_S)
    assert len(early.compiled.bind(ORIGIN).decide_all(USER)) == FLAGS_MIN
    go_on.set()
    thread.join()
    assert found == [FLAGS_MIN]
    assert sum(read) == FLAGS_MIN + SLICE_FLAGS


def with_room_for(calls: int, act: Callable[[], Any]) -> Any:
    """Act where the stack has room for so many calls only."""
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back

    def deeper(left: int) -> Any:
        return deeper(left - 1) if left else act()

    return deeper(sys.getrecursionlimit() - depth - calls)


@pytest.mark.parametrize("room", [20, 40, 80, STACK_CALLS])
def test_a_caller_who_has_used_up_his_stack_gets_his_default_and_spoils_nothing(room: int) -> None:
    """Nothing raises; and that there was no room to read a flag is not taken for a fault of the flag's."""
    early = shown()
    decider: Decider = early.compiled.bind(ORIGIN)
    decision = with_room_for(room, lambda: decider.decide("flag-1", USER, "mine"))
    assert (decision.value, decision.reason) == ("mine", Reason.ERROR)
    assert with_room_for(room, lambda: decider.decide_all(USER)) == {}
    assert decider.decide("flag-1", USER).variant == "on"
    assert len(decider.decide_all(USER)) == FLAGS_MIN
    assert refused(early) == []
