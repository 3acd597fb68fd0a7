"""Processes that ended without goodbye."""

from __future__ import annotations

import asyncio

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instances import Instances
from rollout_server.app.process_losses import LOST_AFTER_MS, ProcessLosses, sums_of
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.telemetry import PROCESS_LOST, ProcessWindow
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.small_fleet import Server, Store
from tests.telemetry_world import launch_state


class Stand:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.instances = Instances(self.clock, lambda: Position("e", 1), lambda _: None, frozenset)
        self.store = MemoryTelemetry()
        self.losses = ProcessLosses(self.instances, self.store, WindowClock(self.clock, 10_000, -1))

    def join(self, number: int) -> object:
        return self.instances.join(Greeting(f"i-{number}", "1", (), "shop", "h", number, None, ()), "t")

    async def count(self) -> tuple[int, int]:
        found = await self.losses.count()
        return found.lived, found.lost


async def test_a_process_that_says_goodbye_is_no_loss() -> None:
    """Deployments end processes all day."""
    stand = Stand()
    seats = [stand.join(number) for number in range(3)]
    assert await stand.count() == (3, 0)
    stand.instances.leave(seats[0])
    stand.clock.advance(2 * LOST_AFTER_MS)
    assert await stand.count() == (2, 0)


async def test_a_process_that_was_cut_off_and_comes_back_is_no_loss() -> None:
    """A network that hiccups, a server that restarts its port."""
    stand = Stand()
    seat = stand.join(1)
    await stand.count()
    stand.instances.disconnect(seat)
    assert await stand.count() == (0, 0)
    stand.clock.advance(LOST_AFTER_MS - 1)
    assert await stand.count() == (0, 0)
    stand.join(1)
    stand.clock.advance(LOST_AFTER_MS)
    assert await stand.count() == (1, 0)


async def test_processes_behind_a_relay_that_is_cut_off_are_nobodys_loss() -> None:
    """They may well live; one that dies behind a relay that is there counts like any other."""
    stand = Stand()
    unseen, dead = stand.join(1), stand.join(2)
    await stand.count()
    stand.instances.disconnect(unseen, is_out_of_sight=True)
    stand.instances.disconnect(dead)
    await stand.count()
    stand.clock.advance(LOST_AFTER_MS)
    assert await stand.count() == (1, 1)


async def test_a_process_that_ended_without_goodbye_is_lost_once() -> None:
    """Killed, crashed, or out of memory."""
    stand = Stand()
    stand.join(1)
    seat = stand.join(2)
    await stand.count()
    stand.instances.disconnect(seat)
    await stand.count()
    stand.clock.advance(LOST_AFTER_MS)
    stand.clock.step(-3_600_000)
    assert await stand.count() == (2, 1)
    stand.clock.advance(10 * LOST_AFTER_MS)
    assert await stand.count() == (1, 0)
    processes = await stand.store.processes(-1, 1 << 40)
    assert sum(each.lost for each in processes) == 1


async def test_who_was_gone_before_this_server_came_is_nobody_s_loss() -> None:
    """They may have ended as they should while nobody listened."""
    stand, before = Stand(), Stand()
    before.instances.disconnect(before.join(1))
    stand.instances.recall(before.instances.known())
    await stand.count()
    stand.clock.advance(2 * LOST_AFTER_MS)
    assert await stand.count() == (0, 0)


async def test_a_store_that_is_away_is_told_at_the_next_look() -> None:
    """No loss is forgotten."""
    stand = Stand()
    seat = stand.join(1)
    await stand.count()
    stand.instances.disconnect(seat)
    await stand.count()
    stand.clock.advance(LOST_AFTER_MS)
    stand.store.is_away = True
    with pytest.raises(Unavailable):
        await stand.count()
    stand.store.is_away = False
    assert await stand.count() == (1, 1)


class Flaky(MemoryTelemetry):
    """Away at the first call; says when the second was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.answered = asyncio.Event()

    async def add_processes(self, processes: ProcessWindow) -> None:
        self.calls += 1
        if self.calls == 1:
            raise Unavailable("telemetry", "the store is away", "try again")
        await super().add_processes(processes)
        self.answered.set()


async def test_it_goes_on_until_cancelled() -> None:
    """Whatever the store does."""
    stand, store = Stand(), Flaky()
    stand.join(1)
    work = asyncio.create_task(ProcessLosses(stand.instances, store, WindowClock(stand.clock, 1, -1)).keep_counting())
    await store.answered.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert sum(each.lived for each in await store.processes(-1, 1 << 60)) >= 1


def test_guardrails_read_it_as_a_candidate_without_control() -> None:
    """A process serves both arms: only absolute limits judge it."""
    (sums,) = sums_of(launch_state(), [ProcessWindow(7, 40, 2)])
    assert (sums.metric, sums.window, sums.run, sums.allocation) == (PROCESS_LOST, 7, 1, 1)
    assert (sums.candidate.n, sums.candidate.x, sums.control.n) == (40, 2.0, 0)


async def test_of_many_servers_one_counts_each_process() -> None:
    """The one that it was connected to last; who moved is no loss, and what a dead server served is nobody's."""
    store = Store()
    a, b, c = (store.server(name) for name in "abc")
    windows, telemetry = WindowClock(store.clock, 10_000, -1), MemoryTelemetry()
    losses = {server.name: ProcessLosses(server.fleet, telemetry, windows) for server in (a, b, c)}

    async def look(ms: int, *dead: Server) -> int:
        found = 0
        for _ in range(ms // 10_000):
            await store.pass_time(10_000, *dead)
            found += sum([(await losses[one.name].count()).lost for one in (a, b, c) if one not in dead])
        return found

    moves, dies, orphan = a.join("moves"), a.join("dies"), c.join("orphan")
    assert await look(10_000) == 0
    b.join("moves")
    for stream in (moves, dies):
        a.roster.disconnect(stream)
    assert await look(LOST_AFTER_MS + 10_000, c) == 1
    assert orphan is not None
    assert await look(2 * LOST_AFTER_MS, a, c) == 0
    lived = [each.lived for each in await telemetry.processes(-1, 1 << 40)]
    assert lived[-1] == 1, "of all servers together, once"


async def test_nobody_is_lost_while_others_are_not_heard() -> None:
    """Who went away here may be there; it is counted as soon as that is known."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    losses = ProcessLosses(a.fleet, MemoryTelemetry(), WindowClock(store.clock, 10_000, -1))
    stream = a.join("p")
    await store.pass_time(10_000)
    await losses.count()
    a.roster.disconnect(stream)
    await losses.count()
    for clock in (store.clock, a.clock, b.clock):
        clock.advance(LOST_AFTER_MS)
    assert not a.fleet.is_whole
    assert (await losses.count()).lost == 0
    await store.pass_time(4_000)
    assert (await losses.count()).lost == 1
