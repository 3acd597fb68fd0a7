"""Blocking work on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from rollout_server.adapters.own_thread import in_own_thread


async def test_what_it_returns_and_raises_comes_back() -> None:
    assert await in_own_thread(lambda: 7, "seven") == 7

    def broken() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await in_own_thread(broken, "broken")


async def test_nobody_waits_for_work_that_hangs() -> None:
    """Neither who is cancelled, nor the end of the process: the thread is a daemon."""
    started, release, daemon = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def hang() -> None:
        daemon.append(threading.current_thread().daemon)
        loop.call_soon_threadsafe(started.set)
        release.wait()

    waiting = asyncio.create_task(in_own_thread(hang, "hang"))
    await started.wait()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()
    assert daemon == [True]
    release.set()


def test_a_loop_that_is_gone_is_not_called() -> None:
    """The thread ends quietly."""
    release, threads = threading.Event(), []

    async def leave() -> None:
        started, loop = asyncio.Event(), asyncio.get_running_loop()

        def hang() -> None:
            threads.append(threading.current_thread())
            loop.call_soon_threadsafe(started.set)
            release.wait()

        left = asyncio.create_task(in_own_thread(hang, "hang"))
        await started.wait()
        left.cancel()

    asyncio.run(leave())
    release.set()
    (thread,) = threads
    thread.join()
