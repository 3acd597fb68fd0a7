"""What may be restored from, and what is refused before anything is touched."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rollout_server.adapters.backup_file import Part, Sources, open_backup, read_parts, write
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.errors import Corrupt, NotFound, Refused, RolloutError, Unavailable
from rollout_server.stores import STORE_FILE, TELEMETRY_FILE
from tests.backup_world import KINDS, Room, fill_journal, fill_telemetry, report
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import KEY
from tests.journal_world import sqlite_store, tamper
from tests.real_redis import SharedRedis


@pytest.fixture
def room(redis: SharedRedis, tmp_path: Path) -> Room:
    return Room(tmp_path, redis)


async def made(room: Room) -> Path:
    """A backup of a store with something of everything in it."""
    target = room.path / "backup.db"
    async with room.opened("sqlite", "source") as stores:
        await fill_journal(stores.journal("production"), 30)
        token = await stores.lease("production").acquire()
        assert token is not None
        reports = [report(random.Random(seed), "t/a", seed + 1) for seed in range(20)]  # noqa: S311 - a test's
        await fill_telemetry(await stores.telemetry("production"), reports, token)
        await stores.backup(target)
    return target


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def lacks_its_last_page(path: Path) -> None:
    cut(path, path.stat().st_size - 4_096)


def another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE album (name TEXT)")


WRONG: dict[str, tuple[Callable[[Path], object], type[RolloutError], str]] = {
    "not there": (lambda path: path.unlink(), NotFound, "no file"),
    "empty": (lambda path: cut(path, 0), Corrupt, "empty"),
    "text": (lambda path: path.write_text("flags: none\n" * 99), Corrupt, "not a database"),
    "of another program": (another_program, Corrupt, "another program"),
    "torn": (lambda path: cut(path, 5_000), Corrupt, "cut short"),
    "torn between pages": (lacks_its_last_page, Corrupt, "damaged"),
    "a later release's tables": (lambda path: tamper(path, "PRAGMA user_version = 99"), Refused, "later release"),
    "a later release's backup": (
        lambda path: tamper(path, "UPDATE backup SET format = format + 1"),
        Refused,
        "later release",
    ),
    "a store": (lambda path: tamper(path, "UPDATE store SET is_copy = 0"), Refused, "no backup"),
    "without a table": (lambda path: tamper(path, "DROP TABLE entry"), Corrupt, "tables are missing: entry"),
    "with a changed entry": (
        lambda path: tamper(path, "UPDATE entry SET at_ms = at_ms + 1 WHERE revision = 20"),
        Corrupt,
        "entry 20",
    ),
    "with a changed resource": (
        lambda path: tamper(path, "DELETE FROM resource WHERE key = 'f9'"),
        Corrupt,
        "resources",
    ),
    "with a changed sum": (
        lambda path: tamper(path, "UPDATE cell SET window = window + 100 WHERE window = 9"),
        Corrupt,
        "telemetry",
    ),
    "without a checkpoint of evidence": (lambda path: tamper(path, "UPDATE run SET body = NULL"), Corrupt, "telemetry"),
    "half a backup": (lambda path: tamper(path, "DELETE FROM backup"), Corrupt, "telemetry"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_wrong_is_said_and_nothing_is_touched(room: Room, kind: str) -> None:
    """Missing, foreign, torn, damaged, of a later release, no backup at all: each in words, with what to do."""
    whole = await made(room)
    broken = room.path / "broken.db"
    url = await room.redis.url()
    for name, (breaking, error, words) in WRONG.items():
        shutil.copy(whole, broken)
        breaking(broken)
        content = broken.read_bytes() if broken.exists() else b""
        more = {"redis_url": url} if kind == "redis" else {}
        with pytest.raises(error, match=words) as refusal:
            async with room.opened(kind, "target", restore=broken, **more):
                pass
        assert refusal.value.hint, name
        assert (broken.read_bytes() if broken.exists() else b"") == content, name
        assert not (room.path / "target" / STORE_FILE).exists(), name
        assert not (room.path / "target" / TELEMETRY_FILE).exists(), name
        broken.unlink(missing_ok=True)
    client = room.redis.server.client(int(url.rpartition("=")[2]))
    assert await client.dbsize() == 0
    await client.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_another_key_than_the_one_that_signed_is_refused(room: Room, kind: str) -> None:
    """A checkpoint that nobody here can vouch for is no history; the key that is missing is named."""
    whole, url = await made(room), await room.redis.url()
    stranger = Room(room.path, room.redis, KEY[::-1])
    with pytest.raises(Corrupt, match="another one") as refusal:
        async with stranger.opened(kind, "target", restore=whole, **({"redis_url": url} if kind == "redis" else {})):
            pass
    assert "put the key" in refusal.value.hint
    assert not (room.path / "target" / STORE_FILE).exists()
    client = room.redis.server.client(int(url.rpartition("=")[2]))
    assert await client.dbsize() == 0
    await client.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restore_overwrites_nothing(room: Room, kind: str) -> None:
    """A store that holds anything, be it the first token alone, is refused with what to do, and serves on."""
    whole = await made(room)
    url = await room.redis.url()
    more = {"redis_url": url} if kind == "redis" else {}
    async with room.opened(kind, "target", **more) as stores:
        await fill_journal(stores.journal("production"), 2)
        before = await stores.journal("production").load()
    with pytest.raises(Refused) as refusal:
        async with room.opened(kind, "target", restore=whole, **more):
            pass
    assert refusal.value.rule == "store-not-empty"
    assert refusal.value.hint
    async with room.opened(kind, "target", **more) as stores:
        assert await stores.journal("production").load() == before


async def test_a_backup_replaces_no_file_and_needs_a_place(room: Room) -> None:
    """What lies there may be the only other backup."""
    target = await made(room)
    content = target.read_bytes()
    async with room.opened("sqlite", "source") as stores:
        with pytest.raises(Refused) as refusal:
            await stores.backup(target)
        assert refusal.value.rule == "backup-target"
        with pytest.raises(Unavailable):
            await stores.backup(room.path / "nowhere" / "backup.db")
    assert target.read_bytes() == content
    assert [path.name for path in room.path.iterdir() if path.name.startswith(".")] == []
    assert target.stat().st_mode & 0o777 == 0o600


async def test_telemetry_is_copied_before_the_journal(tmp_path: Path) -> None:
    """So that no evidence is of a run or an allocation that the journal has yet to open; both instants are noted."""
    clock, order = FakeClock(), list[str]()
    store = sqlite_store(tmp_path / "store.db", clock)
    telemetry = open_telemetry(tmp_path / "telemetry.db", ["production"], window_ms=10_000)

    async def sums(path: Path) -> None:
        order.append("telemetry")
        clock.advance(5)
        await telemetry.copy(path)

    async def parts() -> dict[str, Part]:
        order.append("parts")
        return {"production": Part(10_000, b"null")}

    async def journal(path: Path) -> None:
        order.append("journal")
        await store.journal("production").backup(path)

    await write(Sources(sums, parts, journal), tmp_path / "backup.db", clock)
    assert order == ["telemetry", "parts", "journal"]
    backup = open_backup(tmp_path / "backup.db", KEY)
    (began_ms,) = backup.connection.execute("SELECT telemetry_at_ms FROM backup").fetchone()
    assert backup.at_ms == began_ms + 5
    assert read_parts(backup.connection, tmp_path) == (backup.at_ms, {"production": Part(10_000, b"null")})
    backup.connection.close()
    await telemetry.close()
    await store.close()
