"""A lock that a fork cannot leave held."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from rollout_sdk.front import Front
from rollout_sdk.overrides import NotReady
from rollout_sdk.own_lock import OwnLock
from rollout_sdk.sums import LossReason
from rollout_sdk.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 60


def use_a_lock() -> tuple[OwnLock, Callable[[], object]]:
    lock = OwnLock()
    return lock, lambda: lock().__enter__()


def change_rules() -> tuple[OwnLock, Callable[[], object]]:
    front = Front()
    return front._lock, lambda: front.put(NotReady())


def count() -> tuple[OwnLock, Callable[[], object]]:
    tally = Tally()
    return tally._lock, lambda: tally.lose(LossReason.BAD_TOKEN)


@pytest.mark.parametrize("make", [use_a_lock, change_rules, count])
def test_what_a_thread_of_the_parent_held_holds_up_no_child(
    make: Callable[[], tuple[OwnLock, Callable[[], object]]],
) -> None:
    """A client that is offline or closed is made anew by nobody after a fork; it counts and observes all the same."""
    lock, use = make()
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock():
            is_held.set()
            is_done.wait(WAIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(WAIT_S)
    child = os.fork()
    if not child:
        signal.alarm(WAIT_S)
        try:
            use()
            os._exit(0)
        finally:
            os._exit(1)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        is_done.set()
        thread.join()


def test_who_holds_it_may_take_it_again() -> None:
    """A signal handler runs on the thread that it interrupts."""
    lock = OwnLock()
    with lock(), lock():
        pass
