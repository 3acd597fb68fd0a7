"""The thread that touches the disk."""

import queue
import threading

import pytest

from rollout_sdk.keeper import Keeper

WAIT_S = 20


def test_without_duties_there_is_no_thread() -> None:
    """Most clients keep no file."""
    keeper = Keeper(None, None)
    keeper.start()
    keeper.ask_to_save()
    assert keeper.wait_until_saved(0)
    assert keeper.stop(0)
    assert keeper._thread.ident is None


def test_it_saves_when_asked_and_once_more_at_the_end() -> None:
    """What is in force when a process leaves is on disk."""
    saved: queue.SimpleQueue[str] = queue.SimpleQueue()
    keeper = Keeper(None, lambda: saved.put("saved"))
    keeper.start()
    keeper.ask_to_save()
    assert keeper.wait_until_saved(WAIT_S)
    assert saved.get(timeout=WAIT_S) == "saved"
    keeper.ask_to_save()
    assert keeper.stop(WAIT_S)
    assert saved.get(timeout=WAIT_S) == "saved"
    assert saved.empty()


def test_it_looks_without_being_asked() -> None:
    """The overrides file is found changed by looking."""
    looked = threading.Semaphore(0)
    keeper = Keeper(looked.release, None)
    keeper.start()
    assert looked.acquire(timeout=WAIT_S)
    assert looked.acquire(timeout=WAIT_S)
    assert keeper.stop(WAIT_S)


def test_a_duty_that_fails_does_not_stop_the_other(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in one is logged whole, and the thread lives."""
    saved = threading.Event()

    def fail() -> None:
        raise ValueError("mine")

    keeper = Keeper(fail, saved.set)
    keeper.start()
    keeper.ask_to_save()
    assert saved.wait(WAIT_S)
    assert keeper.stop(WAIT_S)
    assert "a bug in the keeper thread" in caplog.text
