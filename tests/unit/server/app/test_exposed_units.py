"""How many units a run exposed, as far as anybody said."""

from __future__ import annotations

from rollout_sdk.engine.model import Arm
from rollout_server.app.exposed_units import exposed_units
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.telemetry_world import RUN, intake, place


async def test_units_of_the_candidate_are_counted_once() -> None:
    """Over windows and processes; control counts nothing."""
    store = MemoryTelemetry()
    assert await exposed_units(store, RUN.rollout, RUN.run) == 0
    await store.commit(intake(1, "t/a", units=((place(), 7, (1, 2, 3), ()), (place(Arm.CONTROL), 7, (8, 9), ()))))
    await store.commit(intake(1, "t/b", units=((place(), 8, (3, 4), ()),)))
    assert await exposed_units(store, RUN.rollout, RUN.run) == 4
    assert await exposed_units(store, RUN.rollout, RUN.run + 1) == 0


async def test_a_sample_stands_for_all() -> None:
    """Where only half of all units is kept, each one kept stands for two."""
    store = MemoryTelemetry()
    half = ((RUN, "", 1 << 63),)
    await store.commit(intake(1, "t/a", units=((place(), 7, (1, 2, 3), ()),), bounds=half))
    assert await exposed_units(store, RUN.rollout, RUN.run) == 6
