"""The watch wakes whoever waits."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from rollout_server.adapters.sqlite_file import connect, ensure
from rollout_server.adapters.sqlite_watch import Watch
from tests.journal_world import tamper


def watch(path: Path) -> Watch:
    ensure(path)
    return Watch(connect(path, is_reader=True))


async def test_commits_of_another_process_wake(tmp_path: Path) -> None:
    """A change of the file by somebody else is noticed without being told."""
    made = watch(tmp_path / "store.db")
    with made.changed() as changed:
        await changed.wait()  # the first look always wakes: something may have changed before it
        changed.clear()
        tamper(tmp_path / "store.db", "UPDATE store SET is_copy = 1")
        await changed.wait()
    made.close()


async def test_commits_of_this_process_wake_at_once(tmp_path: Path) -> None:
    """From any thread, everybody who waits."""
    made = watch(tmp_path / "store.db")
    with made.changed() as one, made.changed() as two:
        threading.Thread(target=made.wake).start()
        await asyncio.gather(one.wait(), two.wait())
    made.wake()
    made.close()


async def test_closing_wakes_a_last_time(tmp_path: Path) -> None:
    """Nobody sleeps on after the end; closing twice is fine."""
    made = watch(tmp_path / "store.db")
    with made.changed() as changed:
        await asyncio.to_thread(made.close)
        await changed.wait()
    made.close()


def test_a_loop_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    """Waking whoever waited on a closed event loop is quietly nothing."""
    made = watch(tmp_path / "store.db")
    waiting = made.changed()

    async def wait() -> None:
        waiting.__enter__()

    asyncio.run(wait())
    made.wake()
    made.close()
