"""Promises 6, 8 and 18 on the SQLite journal, with real processes: killed, racing, and out of disk."""

from __future__ import annotations

import random
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout_sdk.engine.model import Position
from tests.journal_world import flag_id, sqlite_store

CHILD = Path(__file__).with_name("journal_child.py")


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(*arguments: object) -> list[str]:
    """What a child that ends by itself says."""
    process = child(*arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.splitlines()


def killed_after(path: Path, acknowledgements: int) -> list[tuple[int, str, str]]:
    """Kill -9 a writing process after so many acknowledgements, at whatever it is doing then; return all of them."""
    process = child("write", path)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    lines = [process.stdout.readline() for _ in range(acknowledgements)]
    process.kill()
    lines += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(revision), digest, key) for revision, digest, key in whole]


async def check_nothing_lost(path: Path, acknowledged: list[tuple[int, str, str]], before: Position | None) -> Position:
    store = sqlite_store(path)
    journal = store.journal("production")
    state = await journal.load()
    assert acknowledged
    assert state.position.revision >= max(revision for revision, _, _ in acknowledged)
    if before is not None:
        assert state.position.epoch == before.epoch
    oldest = (await journal.checkpoint()).state.position.revision
    kept = {entry.revision: entry for entry in await journal.entries(oldest, 1_000_000)}
    assert list(kept) == list(range(oldest + 1, state.position.revision + 1))
    for revision, digest, key in acknowledged:
        assert state.resources[flag_id(key)].version >= revision
        if revision > oldest:
            assert kept[revision].digest.hex() == digest
            assert [change.id.key for change in kept[revision].changes] == [key]
    last = max(acknowledged)
    found = await journal.verify(Position("", last[0], bytes.fromhex(last[1])) if last[0] >= oldest else None)
    assert found.intact, found.problem
    await store.close()
    return state.position


async def kill_cycles(path: Path, cycles: int, seed: int) -> None:
    chance, before = random.Random(seed), None  # noqa: S311 - moments to kill at, no secret
    for _ in range(cycles):
        before = await check_nothing_lost(path, killed_after(path, chance.randrange(1, 400)), before)


async def test_no_acknowledged_entry_is_lost_by_kill_9(tmp_path: Path) -> None:
    """Killed in the middle of writing and compacting: every acknowledged entry is there, gapless, verifiable."""
    await kill_cycles(tmp_path / "store.db", 8, seed=6)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_no_acknowledged_entry_is_lost_by_a_hundred_kills(tmp_path: Path) -> None:
    """The long form: one store, a hundred kills."""
    await kill_cycles(tmp_path / "store.db", 100, seed=14370)


async def test_of_two_processes_that_edit_one_flag_exactly_one_wins_each_version(tmp_path: Path) -> None:
    """A counter raised by compare-and-set in two processes at once misses no step and repeats none."""
    path = tmp_path / "store.db"
    editors = [child("edit", path, 40) for _ in range(2)]
    for editor in editors:
        out, err = editor.communicate()
        assert out == "won 40\n", err
    store = sqlite_store(path)
    journal = store.journal("production")
    entries = await journal.entries(0, 1000)
    counts = [change.after.spec.variants[0].value for entry in entries for change in entry.changes]  # type: ignore[union-attr]
    assert counts == list(range(1, 81))
    assert (await journal.verify((await journal.load()).position)).intact
    await store.close()


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """At the file-size limit a commit is unavailable and nothing is written; with space, the same process goes on."""
    refused, unchanged, committed, intact = said("fill-up", tmp_path / "store.db")
    assert refused.startswith("unavailable")
    assert str(tmp_path / "store.db") in refused
    assert "hint: " in refused
    assert (unchanged, committed, intact.strip()) == ("unchanged True", "committed 6", "intact True")


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that another user may walk into; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_place_that_may_not_be_written_is_named() -> None:
    """A read-only directory: unavailable with the path and what to do, as any user but root meets it."""
    with open_directory() as directory:
        directory.chmod(0o555)
        (refused,) = said("open-as-nobody", directory / "store.db")
        directory.chmod(0o755)
        assert refused.startswith("unavailable")
        assert "store.db" in refused
        assert not [item for item in directory.iterdir() if stat.S_ISREG(item.stat().st_mode)]


async def test_a_store_that_may_not_be_written_is_named() -> None:
    """A store of another user: unavailable, not a bug, and not a byte changed."""
    with open_directory() as directory:
        path = directory / "store.db"
        await sqlite_store(path).close()
        content = path.read_bytes()
        path.chmod(0o444)
        directory.chmod(0o555)
        (refused,) = said("open-as-nobody", path)
        directory.chmod(0o755)
        assert refused.startswith("unavailable")
        assert "hint: let the server" in refused
        assert path.read_bytes() == content
