"""A process that uses a journal, for tests that kill it or take its disk away: `journal_child.py VERB PATH ...`."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from rollout_server.adapters.sqlite_journal import SqliteJournal, open_store  # noqa: E402
from rollout_server.adapters.system_clock import SystemClock  # noqa: E402
from rollout_server.domain.journal import Draft  # noqa: E402
from rollout_server.domain.resources import Resource  # noqa: E402
from rollout_server.errors import Conflict, RolloutError  # noqa: E402
from tests.doubles.memory_journal import KEY  # noqa: E402
from tests.journal_world import draft, flag, flag_id  # noqa: E402

WRITERS = 8
NOBODY = 65_534


def say(*words: object) -> None:
    """One line, at once: the parent must know of it even if the next instruction is the last."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(*resources: Resource, **more: object) -> Draft:
    return draft(*resources, at_ms=SystemClock().now_ms(), **more)


async def commit_for_ever(journal: SqliteJournal, writer: int) -> None:
    """Report each acknowledged entry: revision, digest, and what it wrote."""
    n = 0
    while True:
        n += 1
        entry = await journal.commit(write(flag(f"w{writer}", value=f"{os.getpid()}.{n}" * (n % 50))))
        say(entry.revision, entry.digest.hex(), f"w{writer}")


async def write_until_killed(journal: SqliteJournal) -> None:
    """Several writers, and compaction and epochs in between, until somebody kills this process."""
    say("ready")
    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(commit_for_ever(journal, writer))
        while True:
            await asyncio.sleep(0.003)
            await journal.compact(SystemClock().now_ms() - 50)


async def edit(journal: SqliteJournal, rounds: int) -> None:
    """Raise one counter by compare-and-set, so many times as this process wins."""
    won = 0
    while won < rounds:
        before = (await journal.load()).resources.get(flag_id("counter"))
        count = 0 if before is None else int(str(before.spec.variants[0].value))  # type: ignore[union-attr]
        version = 0 if before is None else before.version
        try:
            await journal.commit(write(flag("counter", value=count + 1), reads={flag_id("counter"): version}))
        except Conflict:
            continue
        won += 1
    say("won", won)


async def fill_up(journal: SqliteJournal, path: Path) -> None:
    """Commit with a file-size limit that the write-ahead log has nearly reached; then without it."""
    for n in range(5):
        await journal.commit(write(flag(f"f{n}")))
    before = (await journal.load()).position
    limit = os.stat(f"{path}-wal").st_size + 20_000  # noqa: PTH116 - nobody else waits for this loop
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    await attempt(journal, write(flag("big", value="x" * 60_000)))
    say("unchanged", (await journal.load()).position == before)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await attempt(journal, write(flag("big", value="x" * 60_000)))
    found = await journal.verify(before)
    say("intact", found.intact, found.problem)


async def attempt(journal: SqliteJournal, item: Draft) -> None:
    try:
        entry = await journal.commit(item)
    except RolloutError as refusal:
        say(refusal.code, refusal, "hint:", refusal.hint)
    else:
        say("committed", entry.revision)


async def main(verb: str, path: Path, *rest: str) -> None:
    if verb == "open-as-nobody":
        if os.getuid() == 0:  # root may write anywhere; whoever else runs this is nobody already
            os.setuid(NOBODY)
        try:
            open_store(path, ["production"], key=KEY, clock=SystemClock())
        except RolloutError as refusal:
            say(refusal.code, refusal, "hint:", refusal.hint)
        return
    store = open_store(path, ["production"], key=KEY, clock=SystemClock())
    journal = store.journal("production")
    if verb == "write":
        await write_until_killed(journal)
    elif verb == "edit":
        await edit(journal, int(rest[0]))
    elif verb == "fill-up":
        await fill_up(journal, path)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
