"""Whatever is in a store, and whichever store it is: what is restored into the other, or the same, reads alike."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_server.domain.telemetry import Intake
from tests.backup_world import BOTH, KINDS, RUNS, Room, everything, fill_journal, fill_telemetry, report, telemetry_of
from tests.journal_world import draft, flag
from tests.real_redis import SharedRedis

REPORTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**32)), max_size=12)


def reports_of(made: list[tuple[int, int]]) -> list[Intake]:
    """Reports of some processes, in order."""
    return [
        report(random.Random(seed), f"t/i-{process}", number + 1)  # noqa: S311 - a test's
        for number, (process, seed) in enumerate(made)
    ]


async def round_trip(room: Room, source: str, target: str, reports: list[Intake]) -> None:
    backup = room.path / "backup.db"
    async with room.opened(source, "source") as stores:
        for name in BOTH:
            await fill_journal(stores.journal(name))
            token = await stores.lease(name).acquire()
            assert token is not None
            await fill_telemetry(await stores.telemetry(name), reports, token)
            await stores.notes(name).save({"told": [name]}, token)
        before = await everything(stores)
        epochs = {(await stores.journal(name).load()).position.epoch for name in BOTH}
        await stores.backup(backup)
        assert await everything(stores) == before
    content = backup.read_bytes()
    async with room.opened(target, "target", restore=backup) as stores:
        assert await everything(stores) == before
        for name in BOTH:
            journal, telemetry = stores.journal(name), await stores.telemetry(name)
            position = (await journal.load()).position
            assert position.epoch not in epochs
            assert (await journal.verify(None)).intact
            for each in reports:
                assert (await telemetry.commit(each)).is_repeat
            held = await telemetry_of(telemetry)
            assert {f"{name}: {what}": value for what, value in held.items()}.items() <= before.items()
            token = await stores.lease(name).acquire()
            assert token is not None
            checkpoints = [held[f"{run} checkpoint"] for run in RUNS]
            assert all(token > found[0] for found in checkpoints if found is not None)
            assert (await journal.commit(draft(flag("new"), fence=token))).revision == position.revision + 1
    assert backup.read_bytes() == content


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=REPORTS)
def test_what_is_restored_reads_as_what_was_backed_up(
    redis: SharedRedis, source: str, target: str, made: list[tuple[int, int]]
) -> None:
    """Journal, digests, past, keys, sums, samples, ledger, checkpoints, notes; repeats change nothing; it goes on."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(round_trip(Room(Path(directory), redis), source, target, reports_of(made)))
