"""Waiting for the first confirmation, from threads and from loops."""

import threading

from rollout_sdk.readiness import Readiness

WAIT_S = 20


def test_whoever_waits_is_woken_once_and_whoever_forgot_is_not() -> None:
    """It goes one way: later calls wake at once."""
    readiness, woken = Readiness(), list[str]()
    readiness.when_ready(lambda: woken.append("first"))
    forget = readiness.when_ready(lambda: woken.append("forgotten"))
    forget()
    assert not readiness.wait(0)
    assert readiness.set()
    assert not readiness.set()
    assert (readiness.is_ready, readiness.wait(0), woken) == (True, True, ["first"])
    readiness.when_ready(lambda: woken.append("late"))
    forget()
    assert woken == ["first", "late"]


def test_a_thread_that_waits_goes_on() -> None:
    """From another thread."""
    readiness = Readiness()
    thread = threading.Thread(target=readiness.wait, args=(WAIT_S,))
    thread.start()
    readiness.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_a_copy_for_a_child_begins_where_the_parent_stood() -> None:
    """With locks of its own."""
    assert Readiness(is_ready=True).wait(0)
