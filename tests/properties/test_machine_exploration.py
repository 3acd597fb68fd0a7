"""Every state of the rollout machine that small worlds reach, every event in each: no law of DESIGN section 10 breaks.

And the laws are worth something: of the faults that were seeded into the machine, each is caught by the law it breaks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from rollout_server.domain.machine import (
    EVENTS,
    TABLE,
    Acknowledge,
    Approve,
    ClosureEdited,
    Event,
    Phase,
    Resume,
    Run,
    Start,
    Tick,
    step,
)
from rollout_server.domain.machine.table import ROWS
from tests.machine_exploration import RESTART, TOTAL, Broken, Exploration
from tests.machine_faults import FAULTS
from tests.machine_laws import LAWS
from tests.machine_worlds import ENDED, TICK_MS, WORLDS, World
from tests.seeded_faults import Fault

KIND_STEPS_MAX = 60
SHIFT_MS = 1_700_000_000_000


@cache
def explored(world: World) -> tuple[Exploration, tuple[Broken, ...]]:
    exploration = Exploration(world)
    return exploration, tuple(exploration.broken())


def named(item: World | Fault) -> str:
    return item.name


@pytest.mark.parametrize("world", WORLDS, ids=named)
def test_no_law_breaks_anywhere(world: World) -> None:
    """In every state that can be reached, whatever happens next keeps every law."""
    exploration, broken = explored(world)
    assert [str(one) for one in broken[:1]] == []
    assert len(exploration.came_from) > 100, "a world that small proves nothing"


@pytest.mark.parametrize("fault", FAULTS, ids=named)
def test_a_seeded_fault_is_caught_by_its_law(fault: Fault) -> None:
    """The exploration of a faulty machine names the law that the fault breaks."""
    exploration = Exploration(fault.world, fault.machine, nodes_max=5_000)
    assert any(broken.law.startswith(fault.law) for broken in exploration.broken())


def test_every_law_catches_a_fault() -> None:
    """No law is there for show: each catches a fault of its own."""
    laws = {name for laws in LAWS.values() for name in laws} | {RESTART, TOTAL}
    assert {fault.law for fault in FAULTS} == laws


def test_faults_have_names_of_their_own() -> None:
    """A fault is spoken of by its name."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_the_table_is_total() -> None:
    """Every event has a cell in every phase."""
    assert set(ROWS) == set(EVENTS)
    assert set(TABLE) == {(phase, kind) for phase in Phase for kind in EVENTS}


def test_the_table_tells_all_and_nothing_else() -> None:
    """Each move that the table, and so the diagram, shows happens somewhere; no other does (a law checks that)."""
    shown = {
        (phase.value, kind.__name__, after.value) for (phase, kind), cell in TABLE.items() for after in cell.leads_to
    }
    seen = {move for world in WORLDS for move in explored(world)[0].moves if move[0] != move[2]}
    assert sorted(shown - seen) == []
    assert sorted(seen - shown) == []


@pytest.mark.parametrize("world", WORLDS, ids=named)
def test_every_run_can_still_complete(world: World) -> None:
    """Nothing gets stuck: wherever a run is, people and data that mean well bring it to its end."""
    stuck = [run for run, _ in explored(world)[0].came_from if run.phase not in ENDED and not completes(run, world)]
    assert stuck == []


def completes(run: Run, world: World) -> bool:
    calm, now_ms = world.patterns[0], 0
    for _ in range(KIND_STEPS_MAX):
        now_ms += TICK_MS
        kind: tuple[Event, ...] = (Tick(now_ms, TICK_MS, calm, exposed_units=1),)
        if run.phase is Phase.SCHEDULED:
            kind = (Start("ann", now_ms),)
        elif run.phase is Phase.PAUSED:
            kind = (Resume("ann", now_ms, run.stage_name),)
        elif run.phase is Phase.AWAITING_APPROVAL:
            kind = tuple(Approve(person, now_ms, run.stage_name) for person in world.people)
        for event in kind:
            run, _ = step(run, event)
        if run.phase is Phase.COMPLETED:
            return True
    return False


@pytest.mark.parametrize("world", WORLDS, ids=named)
def test_wall_clocks_and_counters_decide_nothing(world: World) -> None:
    """What the exploration leaves out of a state is only counted: moved in time and renumbered, a run does the same."""
    for run, _ in tuple(explored(world)[0].came_from)[::7]:
        for event in world.events(run):
            after, effects = step(run, event)
            moved, moved_effects = step(later(run), later_event(event))
            assert world.canonical(moved) == world.canonical(after)
            assert [type(effect) for effect in moved_effects] == [type(effect) for effect in effects]


def later(run: Run) -> Run:
    progress = run.progress
    return replace(
        run,
        allocation=run.allocation + 40 if run.allocation else 0,
        transition=run.transition + 50,
        notice_count=60,
        changed_at_ms=SHIFT_MS,
        grown_at_ms=SHIFT_MS,
        progress=replace(
            progress,
            transition=progress.transition + 50,
            last_tick_ms=None if progress.last_tick_ms is None else progress.last_tick_ms + SHIFT_MS,
            blind_since_ms=None if progress.blind_since_ms is None else SHIFT_MS - 5,
        ),
    )


def later_event(event: Event) -> Event:
    if isinstance(event, Tick):
        return replace(event, now_ms=event.now_ms + SHIFT_MS)
    if isinstance(event, Acknowledge | ClosureEdited):
        return event
    return replace(event, at_ms=event.at_ms + SHIFT_MS)
