"""Plan equals outcome (DESIGN section 7): what a rollout's plan says is what the machine and the engine then do.

The plan jumps from event to event and halves its way to whom a stage exposes. Here the machine is given every tick in
turn, and every moment is decided by the real engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.compile import compile_ruleset
from rollout_server.domain.machine import EXPOSING, Phase, Run
from rollout_server.domain.rollout_population import Census, Counted
from rollout_server.domain.rollout_timetable import Course, Timetable, timetable
from rollout_server.domain.rollouts import RolloutSpec
from tests.random_rollouts import (
    ORIGIN,
    TICK_MS,
    RolloutWorld,
    course,
    new_run,
    pipeline,
    rollout_world,
    tick_by_tick,
)
from tests.random_worlds import Dice

SEEDS = st.integers(0, 2**32)
SOAK_SEEDS = 2_500
TICKS_MAX = 6_000
CONTEXTS = 40


@dataclass
class Outcome:
    """What happened: each moment at which the run came to expose more, and its end."""

    arrivals: list[tuple[int, str, int]]
    runs: list[Run]
    completed_ms: int | None


def outcome(run: Run, where: Course) -> Outcome:
    found = Outcome([], [], None)
    entered = run.entered if run.phase is not Phase.SCHEDULED else ()
    if entered:
        found.arrivals.append((where.now_ms, run.stage_name, run.entered[-1].share_ppm))
        found.runs.append(run)
        where = replace(where, now_ms=where.now_ms + where.tick_ms)
    for now_ms, after in tick_by_tick(run, where, TICKS_MAX):
        if after.entered != entered:
            entered = after.entered
            found.arrivals.append((now_ms, after.stage_name, after.entered[-1].share_ppm))
            found.runs.append(after)
        if after.phase is Phase.COMPLETED:
            found.completed_ms = now_ms
    return found


def told(table: Timetable) -> list[tuple[int, str, int]]:
    return [(one.at_ms, one.run.stage_name, one.share_ppm) for one in table.arrivals]


def counted(world: RolloutWorld, table: Timetable) -> Counted:
    census = Census(
        world.rollout,
        table.arrivals,
        world.ruleset,
        world.resources,
        origin=ORIGIN,
        compiled=compile_ruleset(world.ruleset),
        listed_max=10**6,
    )
    for context in world.population:
        census.add(context)
    return census.result()


def check(seed: int) -> None:
    dice = Dice(seed)
    world = rollout_world(dice, CONTEXTS)
    spec = world.rollout.spec
    assert isinstance(spec, RolloutSpec)
    where = course(dice)
    run = new_run(pipeline(dice), rollout=spec)
    happened = outcome(run, where)
    if happened.arrivals and dice.chance(0.4):  # planned in the middle of a run, at one of its ticks
        run, where = in_the_middle(dice, run, where)
        happened = outcome(run, where)
    table = timetable(run, where)
    until_ms = where.now_ms + (TICKS_MAX - 1) * TICK_MS  # some freezes leave minutes a week: nobody ticks for years
    assert [one for one in told(table) if one[0] <= until_ms] == happened.arrivals, seed
    if table.completed_ms is not None and table.completed_ms <= until_ms:
        assert table.completed_ms == happened.completed_ms, seed
    else:
        assert happened.completed_ms is None, seed
    if table.arrivals:
        check_units(world, table, happened, seed)


def in_the_middle(dice: Dice, run: Run, where: Course) -> tuple[Run, Course]:
    way = [(now_ms, after) for now_ms, after in tick_by_tick(run, where, TICKS_MAX) if after.phase in EXPOSING]
    way = [(now_ms, after) for now_ms, after in way if after.phase is not Phase.COMPLETED]
    if not way:
        return run, where
    now_ms, after = dice.random.choice(way)
    return after, replace(where, now_ms=now_ms)


def check_units(world: RolloutWorld, table: Timetable, happened: Outcome, seed: int) -> None:
    """Each unit counts once, however many contexts it has, and counts as exposed when one of these is."""
    table = replace(table, arrivals=table.arrivals[: len(happened.runs)])
    if not table.arrivals:
        return
    planned = counted(world, table)
    unit = world.ruleset.flags["f1"].unit
    keys = [context.units.get(unit) for context in world.population]
    before: set[str] = set()
    entering: dict[int, set[str]] = {}
    for at, after in enumerate(happened.runs):
        now = {key for number in world.exposed(after) if (key := keys[number])}
        assert before <= now, (seed, "ramping dropped a unit")
        assert planned.by_arrival[at] == len(now), (seed, at)
        entering.setdefault(after.place, set()).update(now - before)
        before = now
    assert {one.place: set(one.candidates) for one in planned.stages} == entering, seed
    assert sum(one.count for one in planned.exempt if one.why.name != "NO_UNIT") == planned.units - len(before), seed


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_a_rollout_goes_as_it_was_planned(seed: int) -> None:
    """Entry times, shares and the exact exposed units, over random pipelines, freezes, zones, turns and audiences."""
    check(seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_rollouts_go_as_they_were_planned() -> None:
    """The same, thousands of times."""
    for seed in range(SOAK_SEEDS):
        check(seed)
