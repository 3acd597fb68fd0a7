"""A backup in the place of a store, by a setting or by hand."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from rollout_server.adapters.sqlite_restore import place, take_apart
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.errors import Refused
from rollout_server.stores import STORE_FILE, TELEMETRY_FILE, open_standing
from tests.backup_world import BOTH, RUNS, Room, everything, fill_journal, fill_telemetry, report, telemetry_of
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag, tamper
from tests.real_redis import SharedRedis
from tests.small_server import settings

OF_JOURNALS = {"head", "resources", "checkpoint", "entries", "history", "recalled", "past", "notes"}


@pytest.fixture
def room(redis: SharedRedis, tmp_path: Path) -> Room:
    return Room(tmp_path, redis)


async def made(room: Room) -> dict[str, object]:
    """A store "source" and its backup; return what is in them."""
    async with room.opened("sqlite", "source") as stores:
        for name in BOTH:
            await fill_journal(stores.journal(name))
            token = await stores.lease(name).acquire()
            assert token is not None
            reports = [report(random.Random(seed), "t/a", seed + 1) for seed in range(6)]  # noqa: S311 - a test's
            await fill_telemetry(await stores.telemetry(name), reports, token)
            await stores.notes(name).save([name], token)
        await stores.backup(room.path / "backup.db")
        return await everything(stores)


def aside(data: Path) -> list[Path]:
    return sorted(data.glob(f"{TELEMETRY_FILE}.replaced-*"))


async def test_put_there_by_hand_it_replaces_what_was_counted_after_it_too(room: Room) -> None:
    """Sums of a later history would be taken for those of runs that are yet to come: they are set aside, not lost."""
    before = await made(room)
    data = room.path / "source"
    async with room.opened("sqlite", "source") as stores:
        await stores.journal("production").commit(draft(flag("later")))
        later = report(random.Random(99), "t/b", 1)  # noqa: S311 - a test's
        await (await stores.telemetry("production")).commit(later)
        await stores.notes("production").save(["later"], 9)
    shutil.copy(room.path / "backup.db", data / STORE_FILE)
    async with room.opened("sqlite", "source") as stores:
        found = await everything(stores)
        assert found == before | {"production: notes": ["later"]}  # who was told stays told
    assert len(aside(data)) == 1
    async with room.opened("sqlite", "source") as stores:
        assert await everything(stores) == found
    assert len(aside(data)) == 1


async def test_a_crash_on_the_way_loses_nothing(room: Room) -> None:
    """Until the store is opened all of it is still in the backup, and is taken out again."""
    before = await made(room)
    data = room.path / "target"
    async with room.opened("sqlite", "target"):
        pass
    shutil.copy(room.path / "backup.db", data / STORE_FILE)
    for _ in range(2):
        assert take_apart(data / STORE_FILE, data / TELEMETRY_FILE, lambda name: data / f"notifications-{name}.json")
    async with room.opened("sqlite", "target") as stores:
        assert await everything(stores) == before
    assert list(data.glob(".*part*")) == []
    # The journal's own tables are all that is left in it: a backup of it is as small as the first.
    async with room.opened("sqlite", "target") as stores:
        await stores.backup(room.path / "again.db")
    assert (room.path / "again.db").stat().st_size == (room.path / "backup.db").stat().st_size


async def test_what_is_killed_before_a_server_is_started_on_it_costs_no_evidence(room: Room) -> None:
    """At night: the file put in place, the flag killed without a server, then the server."""
    before = await made(room)
    data = room.path / "source"
    shutil.copy(room.path / "backup.db", data / STORE_FILE)
    standing = await open_standing(settings(data), "production", SystemClock())
    await standing.journal.load()
    await standing.journal.commit(draft(flag("a", "off")))
    await standing.close()
    async with room.opened("sqlite", "source") as stores:
        assert (await stores.journal("production").load()).position.revision == 8
        assert await telemetry_of(await stores.telemetry("production")) == {
            what.removeprefix("production: "): value
            for what, value in before.items()
            if what.startswith("production: ") and what.removeprefix("production: ") not in OF_JOURNALS
        }
    assert len(aside(data)) == 1


async def test_a_backup_of_an_earlier_release_has_no_telemetry(room: Room) -> None:
    """Its journal is served, evidence is gathered anew, and what lay there is of another history."""
    before = await made(room)
    async with room.opened("sqlite", "source") as stores:
        await stores.journal("production").backup(room.path / "old.db")
    shutil.copy(room.path / "old.db", room.path / "source" / STORE_FILE)
    for name in ("source", "fresh"):
        options = {"restore": room.path / "old.db"} if name == "fresh" else {}
        async with room.opened("sqlite", name, **options) as stores:
            found = await everything(stores)
            assert found["production: entries"] == before["production: entries"]
            assert found[f"production: {RUNS[0]} checkpoint"] is None
    assert len(aside(room.path / "source")) == 1
    assert aside(room.path / "fresh") == []


async def test_damaged_telemetry_is_never_in_the_way_of_flags(room: Room) -> None:
    """Put there by hand at night, it is the journal that counts; the setting refuses it before, for there is time."""
    before = await made(room)
    tamper(room.path / "backup.db", "UPDATE ledger SET count = count + 1")
    (room.path / "target").mkdir()
    shutil.copy(room.path / "source" / "server-key", room.path / "target")
    shutil.copy(room.path / "backup.db", room.path / "target" / STORE_FILE)
    async with room.opened("sqlite", "target") as stores:
        found = await everything(stores)
        assert found["production: entries"] == before["production: entries"]
        assert found[f"production: {RUNS[0]} checkpoint"] is None


async def test_windows_of_two_lengths_do_not_go_into_one_file(room: Room) -> None:
    """Those of the first environment are restored; the others gather their evidence anew, and that is said."""
    url = await room.redis.url()
    for name, window_ms in (("production", 10_000), ("staging", 500)):
        async with room.opened("redis", "source", redis_url=url, environments=name, window_ms=window_ms) as stores:
            reports = [report(random.Random(1), "t/a", 1)]  # noqa: S311 - a test's
            await fill_telemetry(await stores.telemetry(name), reports, 1)
    async with room.opened("redis", "source", redis_url=url) as stores:
        before = await everything(stores)
        await stores.backup(room.path / "backup.db")
    data = room.path / "target"
    data.mkdir()
    place(room.path / "backup.db", data / STORE_FILE, KEY)
    found = take_apart(data / STORE_FILE, data / TELEMETRY_FILE, lambda name: data / f"notifications-{name}.json")
    assert found is not None
    assert (found.environments, found.left_out, found.set_aside, found.damage) == (
        ("production",),
        ("staging",),
        None,
        "",
    )
    async with room.opened("redis", "other", restore=room.path / "backup.db") as stores:
        assert await everything(stores) == before


async def test_nothing_is_taken_apart_but_backups(room: Room) -> None:
    """A store that was just made, one that is in use, and no store at all stay as they are."""
    data = room.path / "target"
    for _ in range(2):
        async with room.opened("sqlite", "target"):
            assert take_apart(data / STORE_FILE, data / TELEMETRY_FILE, lambda name: data / name) is None
        assert take_apart(data / STORE_FILE, data / TELEMETRY_FILE, lambda name: data / name) is None
    assert take_apart(data / "none.db", data / TELEMETRY_FILE, lambda name: data / name) is None
    with pytest.raises(Refused):
        place(room.path / "none.db", data / STORE_FILE, KEY)
