"""Callbacks have threads of their own."""

import logging
import queue
import threading

import pytest

from rollout_sdk.notify import Subscription, Subscriptions

WAIT_S = 20


def test_what_happens_during_a_call_is_told_in_one_call_after_it() -> None:
    """A slow callback is not flooded, and misses nothing."""
    told: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
    go_on = threading.Event()

    def slow(flags: frozenset[str]) -> None:
        told.put(flags)
        go_on.wait(WAIT_S)

    subscription = Subscription(slow)
    subscription.tell(frozenset("a"))
    assert told.get(timeout=WAIT_S) == {"a"}
    subscription.tell(frozenset("b"))
    subscription.tell(frozenset("c"))
    go_on.set()
    assert told.get(timeout=WAIT_S) == {"b", "c"}
    subscription.end()


def test_a_callback_that_raises_is_called_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One traceback is enough."""
    told: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()

    def raising(flags: frozenset[str]) -> None:
        told.put(flags)
        raise ValueError("mine")

    with caplog.at_level(logging.ERROR, "rollout_sdk"):
        subscription = Subscription(raising)
        for name in "abc":
            subscription.tell(frozenset(name))
            assert told.get(timeout=WAIT_S) == {name}
        subscription.end()
        subscription._thread.join(WAIT_S)
    assert len(caplog.records) == 1


def test_ended_is_ended() -> None:
    """Nothing is told after the end, and the thread is gone."""
    told: list[frozenset[str]] = []
    subscription = Subscription(told.append)
    subscription.end()
    subscription._thread.join(WAIT_S)
    subscription.tell(frozenset("a"))
    assert told == []


def test_what_tells_of_no_flag_is_told_too() -> None:
    """A standing has changed though no flag has."""
    told: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
    subscriptions = Subscriptions("on-status")
    assert not subscriptions
    end = subscriptions.add(told.put)
    assert subscriptions
    subscriptions.tell()
    assert told.get(timeout=WAIT_S) == frozenset()
    end()
    assert not subscriptions


def test_all_are_told_until_all_have_ended() -> None:
    """Each on a thread of its own; afterwards nobody is."""
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    subscriptions = Subscriptions("on-change")
    subscriptions.add(lambda flags: told.put(f"first {sorted(flags)}"))
    subscriptions.add(lambda flags: told.put(f"second {sorted(flags)}"))
    subscriptions.tell(frozenset("a"))
    assert {told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)} == {"first ['a']", "second ['a']"}
    subscriptions.end()
    subscriptions.tell(frozenset("b"))
    assert told.empty()
