"""Who was here is remembered across a restart."""

from __future__ import annotations

import asyncio
import contextlib

from rollout_sdk.engine.model import Json, Position
from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instance import InstanceState
from rollout_server.app.instances import COUNTS_FOR_MS, Instances
from rollout_server.app.keep_instances import keep_instances, recall_instances
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock

HERE = Position("e1", 5, b"d")


class MemoryNotes:
    """Notes that a test looks into."""

    def __init__(self, value: Json = None) -> None:
        self.value = value
        self.is_full = False

    def load(self) -> Json:
        return self.value

    def save(self, value: Json) -> None:
        if self.is_full:
            raise Unavailable("notes", "full")
        self.value = value


def instances(clock: FakeClock, instances_max: int = 9) -> Instances:
    return Instances(clock, lambda: HERE, lambda _: None, frozenset, instances_max)


def greeting(instance_id: str) -> Greeting:
    return Greeting(instance_id, "1", ("op:in",), "web", instance_id, 7, HERE)


async def kept(known: Instances, notes: MemoryNotes) -> None:
    """Keep for a moment, then stop as a server stops."""
    task = asyncio.create_task(keep_instances(known, notes))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_restarted_server_misses_who_was_here() -> None:
    """Never "N of N" while one is out of reach, a restart in between or not."""
    clock, notes = FakeClock(), MemoryNotes()
    before = instances(clock)
    before.join(greeting("stays"), "t-1")
    before.leave(before.join(greeting("polite"), "t-1"))
    await kept(before, notes)
    after = instances(clock)
    await recall_instances(after, notes)
    certificate = after.certificate(5)
    assert (certificate.unreachable, certificate.is_complete) == (("web@stays (pid 7)",), False)
    after.join(greeting("stays"), "t-1")
    assert after.certificate(5).is_complete
    assert [view.state for view in after.views()] == [InstanceState.IN_FORCE]


async def test_who_was_noted_counts_for_an_hour_from_then() -> None:
    clock, notes = FakeClock(), MemoryNotes()
    before = instances(clock)
    before.join(greeting("gone"), "t-1")
    await kept(before, notes)
    clock.advance(COUNTS_FOR_MS + 1)
    after = instances(clock)
    await recall_instances(after, notes)
    assert after.views() == ()


async def test_notes_that_make_no_sense_are_nobody() -> None:
    nonsense: list[Json] = [None, 7, {}, [7], [[]], [["t", "i", "s", "h", "7", "v", 1]], [None, "x"]]
    for value in nonsense:
        known = instances(FakeClock())
        await recall_instances(known, MemoryNotes(value))
        assert known.views() == ()


async def test_a_disk_that_takes_nothing_harms_nobody() -> None:
    notes = MemoryNotes()
    notes.is_full = True
    await kept(instances(FakeClock()), notes)
    assert notes.value is None


async def test_what_is_recalled_is_bounded() -> None:
    clock, notes = FakeClock(), MemoryNotes()
    before = instances(clock, 20)
    for number in range(20):
        clock.advance(1)
        before.disconnect(before.join(greeting(f"i-{number:02}"), "t-1"))
    await kept(before, notes)
    after = instances(clock, 3)
    await recall_instances(after, notes)
    assert [view.instance.greeting.instance_id for view in after.views()] == ["i-17", "i-18", "i-19"]
    after.join(greeting("new"), "t-1")
    assert len(after.views()) == 3


async def test_since_when_it_was_connected_is_remembered() -> None:
    """Else an old stream would look newer than one that began elsewhere meanwhile. Notes of before do not say it."""
    clock, notes = FakeClock(), MemoryNotes()
    before = instances(clock)
    before.join(greeting("stays"), "t-1")
    clock.advance(5_000)
    await kept(before, notes)
    after = instances(clock)
    await recall_instances(after, notes)
    assert after.known()[0].connected_at_ms == clock.now_ms() - 5_000
    assert isinstance(notes.value, list)
    old: Json = [one[:8] for one in notes.value if isinstance(one, list)]
    earlier = instances(clock)
    await recall_instances(earlier, MemoryNotes(old))
    assert earlier.known()[0].connected_at_ms == clock.now_ms()
