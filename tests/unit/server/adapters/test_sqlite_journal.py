"""The SQLite journal beyond the contract: one file, several users, damage, and a loop that never waits."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.adapters.sqlite_journal import SqliteJournal, open_store
from rollout_server.domain.journal import Entry
from rollout_server.errors import Conflict, Corrupt, NotFound, Refused, Unavailable
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import KEY
from tests.journal_world import cohort, draft, flag, flag_id, sqlite_store, tamper

BOTH = ("production", "staging")


async def filled(path: Path, entries: int = 60) -> Position:
    """A closed store with some history; its head."""
    store = sqlite_store(path)
    journal = store.journal("production")
    for n in range(entries):
        await journal.commit(draft(flag(f"f{n % 7}", "on" if n % 2 else "off", value="x" * 500), at_ms=START_MS + n))
    head = (await journal.load()).position
    await store.close()
    return head


def set_aside(directory: Path) -> list[Path]:
    return list(directory.glob("crashed.db.replaced-*-wal"))


async def take(journal: SqliteJournal, after: int, count: int) -> list[Entry]:
    found: list[Entry] = []
    async for entry in journal.tail(after):
        found.append(entry)
        if len(found) == count:
            break
    return found


async def test_environments_share_a_file_and_nothing_else(tmp_path: Path) -> None:
    """Each has its own revisions and epoch; one is asked for by name, and an unknown name is refused."""
    store = sqlite_store(tmp_path / "store.db", environments=BOTH)
    production, staging = (store.journal(name) for name in BOTH)
    await production.commit(draft(flag("a")))
    await production.commit(draft(flag("a", "on")))
    assert (await staging.commit(draft(flag("a")))).revision == 1
    assert (await production.load()).position.epoch != (await staging.load()).position.epoch
    assert store.journal("staging") is staging
    with pytest.raises(NotFound, match="environment 'test'") as refusal:
        store.journal("test")
    assert "production, staging" in refusal.value.hint
    await production.close()
    assert (await staging.commit(draft(flag("b")))).revision == 2
    await staging.close()
    with pytest.raises(Unavailable, match="closed"):
        await staging.load()


async def test_reopening_continues_the_same_history(tmp_path: Path) -> None:
    """A restart keeps epoch, revision and digest: clients resume, nothing is sent twice."""
    head = await filled(tmp_path / "store.db")
    store = sqlite_store(tmp_path / "store.db", environments=BOTH)
    journal = store.journal("production")
    assert (await journal.load()).position == head
    assert (await journal.commit(draft(flag("z")))).revision == head.revision + 1
    assert (await journal.verify(head)).intact
    await store.close()
    await store.close()


async def test_two_servers_share_a_file(tmp_path: Path) -> None:
    """Both write, each sees the other's entries in its tail, in one order, without a gap."""
    one, two = (sqlite_store(tmp_path / "store.db") for _ in range(2))
    first, second = one.journal("production"), two.journal("production")
    following = [asyncio.create_task(take(journal, 0, 40)) for journal in (first, second)]
    await asyncio.gather(
        *(journal.commit(draft(flag(f"f{n}"))) for n in range(20) for journal in (first, second)),
    )
    seen = [await task for task in following]
    assert seen[0] == seen[1]
    assert [entry.revision for entry in seen[0]] == list(range(1, 41))
    assert (await first.load()) == (await second.load())
    await asyncio.gather(one.close(), two.close())


async def test_a_new_epoch_made_elsewhere_ends_the_tail(tmp_path: Path) -> None:
    """A replica that holds the old epoch learns of the new one instead of serving on under a false name."""
    one, two = (sqlite_store(tmp_path / "store.db") for _ in range(2))
    await one.journal("production").load()
    following = asyncio.create_task(take(one.journal("production"), 0, 1))
    await two.journal("production").renew_epoch()
    with pytest.raises(Conflict, match="epoch"):
        await following
    await asyncio.gather(one.close(), two.close())


async def test_the_loop_goes_on_while_the_disk_is_busy(tmp_path: Path) -> None:
    """A commit and a read that take long on their threads leave the event loop free."""
    store = sqlite_store(tmp_path / "store.db")
    gate = threading.Event()
    writing = asyncio.create_task(store.write(lambda _: gate.wait()))
    reading = asyncio.create_task(store.read(lambda _: gate.wait()))
    commit = asyncio.create_task(store.journal("production").commit(draft(flag("a"))))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in (writing, reading, commit))
    assert (await store.journal("production").load()).position.revision == 0
    gate.set()
    await asyncio.gather(writing, reading)
    assert (await commit).revision == 1
    await store.close()


async def test_audits_do_not_hold_up_tails(tmp_path: Path) -> None:
    """However many walk the whole log at once, reading on and loading go on."""
    store = sqlite_store(tmp_path / "store.db")
    gate = threading.Event()
    audits = [asyncio.create_task(store.read(lambda _: gate.wait(), is_long=True)) for _ in range(20)]
    following = asyncio.create_task(take(store.journal("production"), 0, 1))
    await store.journal("production").commit(draft(flag("a")))
    assert [entry.revision for entry in await following] == [1]
    gate.set()
    await asyncio.gather(*audits)
    await store.close()


async def test_a_caller_that_gives_up_leaves_a_whole_entry_or_none(tmp_path: Path) -> None:
    """Cancelled commits never tear the log, and the writer goes on."""
    store = sqlite_store(tmp_path / "store.db")
    journal = store.journal("production")
    tasks = [asyncio.create_task(journal.commit(draft(flag(f"f{n}")))) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    written = sorted(answer.revision for answer in answers if isinstance(answer, Entry))
    head = (await journal.load()).position
    assert len(written) == 100
    assert head.revision >= 100
    assert (await journal.verify(head)).intact
    await store.close()


@pytest.mark.parametrize("kept", [100, 4_096, 20_000, -1])
async def test_a_store_cut_short_is_refused_with_what_to_do(tmp_path: Path, kept: int) -> None:
    """Truncated anywhere: refused at start, never served in part."""
    path = tmp_path / "store.db"
    await filled(path)
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(Corrupt) as refusal:
        await sqlite_store(path).journal("production").load()
    assert "backup" in refusal.value.hint


async def test_every_damaged_page_is_found(tmp_path: Path) -> None:
    """Whichever page the disk lost, starting or verifying says so; nothing raises what is not an answer."""
    path = tmp_path / "store.db"
    head = await filled(path)
    content = path.read_bytes()
    missed = []
    for page in range(1, len(content) // 4_096):
        path.write_bytes(content[: page * 4_096] + b"\xa5" * 4_096 + content[(page + 1) * 4_096 :])
        try:
            store = sqlite_store(path)
        except Corrupt:
            continue
        try:
            await store.journal("production").load()
            found = await store.journal("production").verify(head)
            if found.intact:
                missed.append(page)
        except Corrupt:
            pass
        finally:
            await store.close()
    assert missed == []


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        (
            "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'mia@', 'eve@') AS BLOB) WHERE revision = 30",
            "entry 30",
        ),
        ("UPDATE entry SET body = 'text' WHERE revision = 30", "entry 30"),
        ("UPDATE entry SET at_ms = at_ms - 1 WHERE revision = 30", "entry 30"),
        ("DELETE FROM entry WHERE revision = 30", "entry 31"),
        ("UPDATE entry SET revision = revision + 1 WHERE revision = 60", "entry 61"),
        ("DELETE FROM change WHERE revision = 30", "index"),
        ("UPDATE change SET key = 'other' WHERE revision = 30", "index"),
        ("INSERT INTO change VALUES (1, 'Flag', 'f1', 99)", "index"),
        ("UPDATE resource SET body = CAST(replace(CAST(body AS TEXT), 'payments', 'attacker') AS BLOB)", "flag/f0"),
        ("UPDATE resource SET key = CAST(x'ff' AS TEXT) WHERE key = 'f3'", "UTF-8"),
        ("DELETE FROM resource WHERE key = 'f3'", "flag/f3"),
        ("UPDATE environment SET oldest = 5 WHERE name = 'production'", "entry 6"),
        ("INSERT INTO checkpoint VALUES (1, x'7b7d', x'00')", "checkpoint of production"),
    ],
)
async def test_verification_finds_what_a_shell_did(tmp_path: Path, tampering: str, problem: str) -> None:
    """Changed, dropped, renumbered, hidden from the index, edited beside the log, forged: named with its place."""
    path = tmp_path / "store.db"
    head = await filled(path)
    tamper(path, tampering)
    store = sqlite_store(path)
    found = await store.journal("production").verify(head)
    assert not found.intact
    assert problem in found.problem
    await store.close()


async def test_a_cut_tail_needs_a_head_kept_elsewhere(tmp_path: Path) -> None:
    """The last entries removed without a trace: the log verifies alone, and fails against the head that was kept."""
    path, early, late = tmp_path / "store.db", tmp_path / "early.db", tmp_path / "late.db"
    store = sqlite_store(path)
    journal = store.journal("production")
    await journal.commit(draft(flag("a")))
    await journal.backup(early)
    await journal.commit(draft(flag("a", "on")))
    head = (await journal.load()).position
    await journal.backup(late)
    await store.close()
    cut = sqlite_store(early)
    assert (await cut.journal("production").verify(None)).intact
    assert "tail was cut off" in (await cut.journal("production").verify(head)).problem
    await cut.close()
    whole = sqlite_store(late)
    assert (await whole.journal("production").verify(head)).intact
    await whole.close()


async def test_a_backup_holds_every_environment_and_no_more(tmp_path: Path) -> None:
    """Taken while others write: one moment of all environments, intact, each a new epoch."""
    store = sqlite_store(tmp_path / "store.db", environments=BOTH)
    production, staging = (store.journal(name) for name in BOTH)
    await asyncio.gather(
        *(journal.commit(draft(flag(f"f{n}"))) for n in range(20) for journal in (production, staging))
    )
    writing = asyncio.gather(*(production.commit(draft(flag(f"g{n}"))) for n in range(100)))
    await production.backup(tmp_path / "backup.db")
    await writing
    copy = sqlite_store(tmp_path / "backup.db", environments=BOTH)
    for name, original in zip(BOTH, (production, staging), strict=True):
        state = await copy.journal(name).load()
        (same,) = await original.entries(state.position.revision - 1, 1)
        assert state.position.digest == same.digest
        assert state.position.epoch != (await original.load()).position.epoch
        assert (await copy.journal(name).verify(state.position)).intact
    with pytest.raises(Refused):
        await production.backup(tmp_path / "store.db")
    with pytest.raises(Refused):
        await production.backup(tmp_path / "backup.db")
    with pytest.raises(Unavailable, match="nowhere"):
        await production.backup(tmp_path / "nowhere" / "backup.db")
    await asyncio.gather(store.close(), copy.close())


async def test_a_restore_after_a_crash_is_not_undone_by_the_old_log(tmp_path: Path) -> None:
    """A backup copied over a store that was killed is what is served; the log of what it replaced is set aside."""
    path, crashed = tmp_path / "store.db", tmp_path / "crashed.db"
    store = sqlite_store(path)
    journal = store.journal("production")
    await journal.commit(draft(flag("a")))
    await journal.backup(tmp_path / "backup.db")
    await journal.commit(draft(flag("a", "on")))
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    epoch = (await journal.load()).position.epoch
    await store.close()
    shutil.copy(tmp_path / "backup.db", crashed)
    restored = sqlite_store(crashed)
    state = await restored.journal("production").load()
    assert (state.position.revision, state.position.epoch != epoch) == (1, True)
    assert (await restored.journal("production").verify(state.position)).intact
    assert len(set_aside(tmp_path)) == 1
    await restored.close()


async def test_a_crash_without_a_restore_keeps_its_log(tmp_path: Path) -> None:
    """What a kill left in the log is read at the next start."""
    path, crashed = tmp_path / "store.db", tmp_path / "crashed.db"
    store = sqlite_store(path)
    await store.journal("production").commit(draft(flag("a")))
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    again = sqlite_store(crashed)
    assert (await again.journal("production").load()).position.revision == 1
    await asyncio.gather(store.close(), again.close())


async def test_commits_go_on_during_compaction(tmp_path: Path) -> None:
    """Compaction and commits at once: nothing lost, nothing refused, still verifiable."""
    store = sqlite_store(tmp_path / "store.db")
    journal = store.journal("production")
    for n in range(50):
        await journal.commit(draft(flag("a"), at_ms=START_MS + n))
    dropped, *entries = await asyncio.gather(
        journal.compact(START_MS + 40), *(journal.commit(draft(flag(f"f{n}"), at_ms=START_MS + 99)) for n in range(50))
    )
    assert dropped == 40
    assert len(entries) == 50
    head = (await journal.load()).position
    assert head.revision == 100
    assert (await journal.verify(head)).intact
    await store.close()


async def test_two_servers_compact_at_once(tmp_path: Path) -> None:
    """Whoever is first wins, and the other finds nothing left to do or goes on from there."""
    stores = [sqlite_store(tmp_path / "store.db") for _ in range(2)]
    journals = [store.journal("production") for store in stores]
    for n in range(20):
        await journals[0].commit(draft(flag("a"), cohort("c", f"u{n}"), at_ms=START_MS + n))
    dropped = await asyncio.gather(journals[0].compact(START_MS + 10), journals[1].compact(START_MS + 15))
    assert sum(dropped) == 15
    assert (await journals[0].verify((await journals[1].load()).position)).oldest_revision == 15
    await asyncio.gather(*(store.close() for store in stores))


async def test_another_key_disowns_the_checkpoint_and_serves_on(tmp_path: Path) -> None:
    """A server whose key was lost still loads and commits; what it cannot vouch for, it says."""
    store = sqlite_store(tmp_path / "store.db")
    for n in range(4):
        await store.journal("production").commit(draft(flag("a"), at_ms=START_MS + n))
    await store.journal("production").compact(START_MS + 2)
    await store.close()
    other = open_store(tmp_path / "store.db", ["production"], key=bytes(32), clock=FakeClock())
    journal = other.journal("production")
    assert (await journal.load()).resources[flag_id("a")].version == 4
    assert (await journal.commit(draft(flag("b")))).revision == 5
    assert "not signed with this server's key" in (await journal.verify(None)).problem
    for refused in (journal.checkpoint(), journal.compact(START_MS + 9)):
        with pytest.raises(Corrupt, match="not signed"):
            await refused
    await other.close()


def test_a_short_key_opens_nothing(tmp_path: Path) -> None:
    """A key that vouches for nothing is refused before a file is made."""
    with pytest.raises(ValueError, match="32 bytes"):
        open_store(tmp_path / "store.db", ["production"], key=b"", clock=FakeClock())
    assert not list(tmp_path.iterdir())
    assert len(KEY) == 32
