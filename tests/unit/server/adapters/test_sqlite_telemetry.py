"""What a file adds to the contract: it outlives the process, keeps its windows, and is never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.adapters.sqlite_journal import open_store
from rollout_server.adapters.sqlite_telemetry import SqliteTelemetryFile, open_telemetry
from rollout_server.domain.telemetry import RunCheckpoint
from rollout_server.errors import NotFound, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.telemetry_world import RUN, cell, intake, place

FOREVER = 1 << 40
EVENTS = ((place(), 7, "errors", cell(3)),)


def opened(path: Path, window_ms: int = 10_000) -> SqliteTelemetryFile:
    return open_telemetry(path, ["production", "staging"], window_ms=window_ms)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """Sums, checkpoints, and who has reported what."""
    path = tmp_path / "telemetry.db"
    first = opened(path)
    await first.store("production").commit(intake(events=EVENTS))
    await first.store("production").keep(RunCheckpoint(RUN, 4, {"errors": 3}, b"evidence"))
    await first.close()
    second = opened(path)
    store = second.store("production")
    assert (await store.commit(intake(events=EVENTS))).is_repeat
    (sums,) = await store.sums(RUN, "errors", -1, FOREVER)
    assert sums.candidate == cell(3)
    assert await store.checkpoint(RUN) == RunCheckpoint(RUN, 4, {"errors": 3}, b"evidence")
    assert second.set_aside is None
    await second.close()
    await second.close()


async def test_environments_are_closed_worlds(tmp_path: Path) -> None:
    """The same run, instance and window in two of them."""
    file = opened(tmp_path / "telemetry.db")
    await file.store("production").commit(intake(events=EVENTS))
    staging = file.store("staging")
    assert await staging.sums(RUN, "errors", -1, FOREVER) == ()
    assert await staging.last_window() == -1
    assert not (await staging.commit(intake(events=EVENTS))).is_repeat
    assert await staging.prune(99, ()) == 1
    assert len(await file.store("production").sums(RUN, "errors", -1, FOREVER)) == 1
    with pytest.raises(NotFound):
        file.store("nowhere")
    await file.close()


async def test_windows_keep_the_length_they_were_made_with(tmp_path: Path) -> None:
    """They are counted in it, and so is the evidence."""
    path = tmp_path / "telemetry.db"
    await opened(path, 10_000).close()
    again = opened(path, 60_000)
    assert again.store("production").window_ms == again.window_ms == 10_000
    await again.close()


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\x00 and no more", b"x" * 5_000])
async def test_a_damaged_file_is_set_aside_and_never_in_the_way(tmp_path: Path, damage: bytes) -> None:
    """Flags must be served; the damaged file is kept for whoever wants to look."""
    path = tmp_path / "telemetry.db"
    path.write_bytes(damage)
    file = opened(path)
    assert file.set_aside is not None
    assert file.set_aside.read_bytes() == damage
    assert not (await file.store("production").commit(intake(events=EVENTS))).is_repeat
    await file.close()


async def test_a_journal_is_not_taken_for_telemetry(tmp_path: Path) -> None:
    """Names may be mixed up; the journal is set aside untouched, never written to."""
    path = tmp_path / "rollout.db"
    journal = open_store(path, ["production"], key=bytes(32), clock=FakeClock())
    await journal.close()
    before = path.read_bytes()
    file = opened(path)
    assert file.set_aside is not None
    assert file.set_aside.read_bytes() == before
    await file.close()


async def test_a_file_that_was_moved_away_takes_no_more(tmp_path: Path) -> None:
    """What would be acknowledged there would be lost with it."""
    path = tmp_path / "telemetry.db"
    file = opened(path)
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(Unavailable):
        await file.store("production").commit(intake(events=EVENTS))
    await file.close()
