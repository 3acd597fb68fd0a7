"""The step around the table: what no move can forget. tests/properties/test_machine_exploration.py has the table."""

from __future__ import annotations

from dataclasses import replace

from rollout_server.domain.machine.effects import Notify, OpenAllocation, Refusal, SetReaches
from rollout_server.domain.machine.events import Kill, Pause, Rollback, Start, Tick
from rollout_server.domain.machine.run import Phase, Reached
from rollout_server.domain.machine.table import TABLE, Cell, follow, step, visible
from rollout_server.domain.rollouts import PipelineSpec, Stage
from tests.machine_worlds import scheduled

FRESH = scheduled(PipelineSpec((Stage("canary", 10_000, soak_ms=10),)))


def test_what_sdks_see_is_committed_and_what_follows_comes_after() -> None:
    """The entry holds the new state and its reach; the allocation and the message come from it."""
    run, effects = step(FRESH, Start("ann", 7))
    assert effects[0] == SetReaches(1, 1, "canary", (Reached("canary", None, 10_000),)) == visible(run)
    assert effects[1] == OpenAllocation(1)
    assert isinstance(effects[2], Notify)
    assert run.notices == (effects[2].notice,)
    assert (run.transition, run.progress.transition, run.changed_at_ms) == (1, 1, 7)


def test_ticks_make_no_entries() -> None:
    """A tick that only adds up is no transition, and leaves the notices of the last one to be sent again."""
    run, _ = step(FRESH, Start("ann", 7))
    ticked, effects = step(step(run, Tick(8, 5))[0], Tick(12, 5))
    assert (ticked.transition, ticked.notices, effects) == (1, run.notices, ())
    assert ticked.progress.soak_ms == 4


def test_a_move_that_forgets_sdks_cannot() -> None:
    """Whatever a cell does to reach is told, because no cell has to."""
    careless = {**TABLE, (Phase.SCHEDULED, Start): Cell(lambda run, _: (replace(run, phase=Phase.CANCELLED), ()), {})}
    run, _ = step(FRESH, Start("ann", 7))
    gone = {**TABLE, (Phase.RUNNING, Pause): Cell(lambda run, _: (replace(run, phase=Phase.ROLLED_BACK), ()), {})}
    assert follow(careless, FRESH, Start("ann", 7))[1] == ()
    assert follow(gone, run, Pause("ann", 8))[1] == (SetReaches(1, 1, "", ()),)


def test_a_refusal_names_the_phase_and_the_way_out() -> None:
    """The run is the very same, and the answer can be shown as it is."""
    run, (refusal,) = step(FRESH, Pause("ann", 7))
    assert run is FRESH
    assert refusal == Refusal(
        "phase", "launch run 1 is scheduled: pause does not apply", "cancel it, or change when it starts"
    )


def test_stopping_twice_is_stopping() -> None:
    """Who rolls back or kills a run that is over gets no error, and changes nothing but what is still to be done."""
    stopped, _ = step(step(FRESH, Start("ann", 7))[0], Rollback("ann", 8))
    assert step(stopped, Rollback("bob", 9)) == (stopped, ())
    killed, effects = step(stopped, Kill("bob", 9))
    assert (killed.end, killed.phase) == (stopped.end, Phase.ROLLED_BACK)
    assert len(effects) == 2
