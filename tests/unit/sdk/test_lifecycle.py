"""Fork and the end of the process, with a living thing that only notes what happens; tests/e2e really forks clients."""

import os
import threading

import pytest

from rollout_sdk import hosts, lifecycle

WAIT_S = 20


class Note:
    """Writes down what it is told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[str] = []
        self._fails = fails

    def pause(self, timeout_s: float, *, goodbye: bool = False) -> None:
        self.told.append("leave" if goodbye else "pause")

    def resume(self, *, in_child: bool) -> None:
        self.told.append("child" if in_child else "parent")
        if self._fails:
            raise ValueError("mine")

    def close(self, timeout_s: float) -> None:
        self.told.append("close")


def fork_and_ask(note: Note) -> list[str]:
    """Fork; return what the child's copy was told."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, ",".join(note.told).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read().split(",")


def test_both_sides_of_a_fork_are_told_which_they_are() -> None:
    """Paused before, resumed after, and never again once it left."""
    note = Note()
    lifecycle.enter(note)
    try:
        assert fork_and_ask(note) == ["pause", "child"]
        assert note.told == ["pause", "parent"]
    finally:
        lifecycle.leave(note)
    assert fork_and_ask(note) == ["pause", "parent"]


def test_one_that_fails_to_resume_does_not_stop_the_next() -> None:
    """And the fork itself does not raise."""
    notes = [Note(fails=True), Note(fails=True)]
    for note in notes:
        lifecycle.enter(note)
    try:
        fork_and_ask(notes[0])
        assert [note.told for note in notes] == [["pause", "parent"]] * 2
    finally:
        for note in notes:
            lifecycle.leave(note)


def test_what_nobody_holds_is_forgotten() -> None:
    """A registry must not keep clients alive."""
    note = Note()
    lifecycle.enter(note)
    assert note in lifecycle._living
    told = note.told
    del note
    assert fork_and_ask(Note()) == [""]
    assert told == []


def test_a_thread_that_is_told_to_stop_does_not_wait_for_the_gate() -> None:
    """A fork waits for threads; a thread that waits for the fork would never end."""
    stopping = threading.Event()
    passed: list[bool] = []

    def knock() -> None:
        with lifecycle.gate(stopping.is_set) as is_held:
            passed.append(is_held)

    with lifecycle.GATE:
        thread = threading.Thread(target=knock)
        thread.start()
        stopping.set()
        thread.join(WAIT_S)
    assert passed == [False]
    stopping.clear()
    knock()
    assert passed == [False, True]


def test_close_all_says_goodbye_for_everyone() -> None:
    """At the end of the process, all at once."""
    note = Note()
    lifecycle.enter(note)
    try:
        lifecycle.close_all()
        assert note.told == ["close"]
    finally:
        lifecycle.leave(note)


def test_around_a_patch_of_threads_everybody_leaves_and_comes_back_as_another() -> None:
    """Nothing that was counted is lost with the threads, and the old identity does not look like a lost process."""
    note = Note()
    lifecycle.enter(note)
    try:
        lifecycle._GUEST.before_patch()
        lifecycle._GUEST.after_patch()
        assert note.told == ["leave", "child"]
    finally:
        lifecycle.leave(note)


def test_after_a_fork_that_python_did_not_see_everybody_is_resumed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody paused, and the hook may come again."""
    note = Note()
    lifecycle.enter(note)
    try:
        monkeypatch.setitem(lifecycle._home, "pid", 1)
        lifecycle._GUEST.forked_unseen()
        lifecycle._GUEST.forked_unseen()
        assert note.told == ["child"]
    finally:
        lifecycle.leave(note)


def test_who_comes_before_a_fork_that_is_awaited_starts_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that uWSGI's master started would be copied in pieces."""
    note = Note()
    monkeypatch.setattr(hosts, "awaits_fork", lambda: True)
    assert not lifecycle.enter(note)
    try:
        fork_and_ask(note)
        assert note.told == ["pause"]
        lifecycle._GUEST.forked_unseen()
        assert note.told == ["pause", "child"]
    finally:
        lifecycle.leave(note)
