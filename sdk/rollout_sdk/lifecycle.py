"""How clients live through fork and the end of the process, without a line of user code.

Before a fork every client's threads are stopped and its connection is closed; afterwards both sides open their own. So
no thread of ours holds a lock, and gRPC no socket, at the moment the process is copied. `GATE` is held across the fork:
whoever loads gRPC or starts threads takes it first.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rollout_sdk import hosts, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAUSE_TIMEOUT_S = 2.0
"""How long a fork waits for one client's threads; a thread that is stuck in a system call is left behind."""

EXIT_TIMEOUT_S = 0.5
"""How long the end of the process waits for all clients to say goodbye."""

GATE = threading.RLock()
_GATE_POLL_S = 0.02
_fork_waits = threading.Event()

_log = logging.getLogger("rollout_sdk")
_living: weakref.WeakSet[Living] = weakref.WeakSet()
_paused: list[Living] = []
_waiting: weakref.WeakSet[Living] = weakref.WeakSet()
_home = {"pid": os.getpid(), "hooks": 0, "is_behind_grpc": False}


class Living(Protocol):
    """Something with threads."""

    def pause(self, timeout_s: float, *, goodbye: bool = False) -> None:
        """Stop all threads and close all connections; return when they are gone or time is up.

        Args:
            timeout_s: how long.
            goodbye: `resume` will give another identity, so report all that was counted, and say goodbye.
        """

    def resume(self, *, in_child: bool) -> None:
        """Start again; in a forked child with an identity, locks and random numbers of its own."""

    def close(self, timeout_s: float) -> None:
        """Say goodbye and stop for good. Harmless when repeated."""


def enter(living: Living) -> bool:
    """Look after this one until `leave`; forgotten by itself once nobody else holds it.

    Returns:
        Whether it is to start its threads now. Else it is resumed, as in a child, after a fork that is still to come.
    """
    with GATE:
        if not _home["hooks"]:
            _hook()
            atexit.register(close_all)
        _living.add(living)
        hosts.follow(_GUEST)
        surroundings.say_once(surroundings.of_threads())
        if hosts.awaits_fork():
            _waiting.add(living)
    return living not in _waiting


def stand_behind_grpc() -> None:
    """Call with `GATE` once gRPC has its hooks: our channels must be closed before these block them for a fork."""
    if not _home["is_behind_grpc"]:
        _home["is_behind_grpc"] = True
        _hook()


def _hook() -> None:
    """Register hooks that act in the stead of all earlier ones: of the last registered, `before` runs first."""
    _home["hooks"] += 1
    number = _home["hooks"]

    def newest(act: Callable[[], None]) -> Callable[[], None]:
        return lambda: act() if _home["hooks"] == number else None

    os.register_at_fork(
        before=newest(_before_fork), after_in_parent=newest(_after_in_parent), after_in_child=newest(_after_in_child)
    )


@contextmanager
def gate(is_stopping: Callable[[], bool]) -> Iterator[bool]:
    """Hold `GATE`, for threads that a fork waits for: give up, yielding False, as soon as they are told to stop."""
    is_held = False
    while not is_held and not is_stopping():
        if _fork_waits.is_set():
            time.sleep(_GATE_POLL_S)  # locks are not fair: without this a thread that comes again and again always wins
        else:
            is_held = GATE.acquire(timeout=_GATE_POLL_S)
    try:
        yield is_held
    finally:
        if is_held:
            GATE.release()


def awaits_fork(living: Living) -> bool:
    """Whether this one has not started yet, and will not in this process."""
    return living in _waiting


def leave(living: Living) -> None:
    """Look after it no longer."""
    with GATE:
        _living.discard(living)
        _waiting.discard(living)


def close_all() -> None:
    """Say goodbye for every client; together they get `EXIT_TIMEOUT_S`."""
    threads = [
        threading.Thread(target=living.close, args=(EXIT_TIMEOUT_S,), daemon=True, name="rollout-goodbye")
        for living in list(_living)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(EXIT_TIMEOUT_S)
    except RuntimeError:
        return  # the interpreter is too far gone to start threads; the server will see the connection end


def copy_event(event: threading.Event) -> threading.Event:
    """Return an event in the same state that shares no lock with it: for a forked child."""
    copy = threading.Event()
    if event.is_set():
        copy.set()
    return copy


def _before_fork() -> None:
    hosts.follow(_GUEST)
    if len(_living) > len(_waiting):
        surroundings.say_once(surroundings.of_fork())
    _fork_waits.set()
    GATE.acquire()
    _paused[:] = _living
    for living in _paused:
        try:
            living.pause(PAUSE_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - logged whole; the others must be paused all the same
            _log.exception("a client did not pause for a fork; its child may not get any changes")


def _after_in_parent() -> None:
    _resume(_paused[:], in_child=False)


def _after_in_child() -> None:
    _home["pid"] = os.getpid()
    _resume(_paused[:], in_child=True)


def _resume(paused: list[Living], *, in_child: bool) -> None:
    _paused.clear()
    _fork_waits.clear()
    GATE.release()
    if not hosts.awaits_fork():
        _resume_each(paused, in_child=in_child)


def _resume_each(paused: Iterable[Living], *, in_child: bool) -> None:
    for living in paused:
        _waiting.discard(living)
        try:
            living.resume(in_child=in_child)
        except Exception:  # noqa: BLE001 - logged whole, see below
            # At-fork hooks must not raise, and one client must not stop the next; decisions go on as they were.
            _log.exception("a client did not resume after fork; it keeps its rules but receives no changes")


class _Guest:
    """What lifecycle does where a host acts; see `hosts.Guest`."""

    def __init__(self) -> None:
        self._patched: list[Living] = []

    def end(self) -> None:
        """Say goodbye for every client."""
        close_all()

    def forked_unseen(self) -> None:
        """Start what waited for this; anew what was running in the parent, of which no thread came along."""
        is_elsewhere = _home["pid"] != os.getpid()
        _home["pid"] = os.getpid()
        _resume_each(list(_living if is_elsewhere else _waiting), in_child=True)

    def before_patch(self) -> None:
        """Stop all threads, as nobody's: they start again as greenlets, with locks that greenlets share."""
        with GATE:
            self._patched = list(_living)
            for living in self._patched:
                living.pause(PAUSE_TIMEOUT_S, goodbye=True)

    def after_patch(self) -> None:
        """Start them again."""
        patched, self._patched = self._patched, []
        _resume_each(patched, in_child=True)


_GUEST = _Guest()
