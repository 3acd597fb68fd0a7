"""Stages, ramps, and what it takes to leave them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.machine.events import Tick
from rollout_server.domain.machine.growth import advance, back_to, enter, is_at_full_share, percent, run_on, watch_on
from rollout_server.domain.machine.run import Phase, Run
from rollout_server.domain.rollouts import Exit, Finish, PipelineSpec, Stage
from tests.machine_worlds import scheduled

STAFF, BETA = InCohort("staff"), InCohort("beta")


def run_of(*stages: Stage, finish: Finish | None = None) -> Run:
    return scheduled(PipelineSpec(stages, finish=finish or Finish()))


def ramped(run: Run, *spans_ms: int, is_frozen: bool = False, may_grow: bool = True) -> list[int]:
    shares = []
    for span_ms in spans_ms:
        tick = Tick(0, span_ms, is_frozen=is_frozen, may_grow=may_grow)
        run, _ = run_on(run, tick, span_ms, is_healthy=True)
        shares.append(run.entered[-1].share_ppm)
    return shares


def test_a_ramp_has_twenty_equal_steps() -> None:
    """From the first at once to the whole share when its time is over."""
    run = enter(run_of(Stage("most", 400_000, ramp_ms=19_000)), 0, 0)
    shares = [run.entered[-1].share_ppm, *ramped(run, *[1_000] * 19)]
    assert shares == [20_000 * step for step in range(1, 21)]


def test_a_ramp_starts_where_its_audience_stands() -> None:
    """What everyone, or the same audience, has already is not ramped again; what another has is."""
    stages = (
        Stage("staff", 500_000, STAFF),
        Stage("canary", 100_000),
        Stage("staff-more", 900_000, STAFF, ramp_ms=1_000),
        Stage("beta", 900_000, BETA, ramp_ms=1_000),
    )
    run = enter(enter(run_of(*stages), 0, 0), 1, 0)
    assert enter(run, 2, 0).entered[-1].share_ppm == 500_000 + 400_000 // 20
    assert enter(run, 3, 0).entered[-1].share_ppm == 100_000 + 800_000 // 20


def test_a_ramp_of_few_units_has_few_steps() -> None:
    """Each step exposes somebody; a stage below what is reached has nothing to ramp."""
    run = enter(run_of(Stage("tiny", 3, ramp_ms=1_000)), 0, 0)
    assert [run.entered[-1].share_ppm, *ramped(run, 500, 499, 1)] == [1, 2, 2, 3]
    smaller = enter(enter(run_of(Stage("half", 500_000), Stage("less", 100_000, ramp_ms=1_000)), 0, 0), 1, 0)
    assert is_at_full_share(smaller)
    assert smaller.entered[-1].share_ppm == 100_000


@given(st.integers(1, 1_000_000), st.integers(0, 100_000), st.lists(st.integers(0, 20_000), max_size=30))
def test_a_ramp_only_grows_and_ends_at_its_share(share_ppm: int, ramp_ms: int, spans_ms: list[int]) -> None:
    """However ticks fall, steps never go back, and the whole share comes when the time is over and not before."""
    run = enter(run_of(Stage("most", share_ppm, ramp_ms=ramp_ms, soak_ms=10**9)), 0, 0)
    shares = [run.entered[-1].share_ppm, *ramped(run, *spans_ms)]
    assert shares == sorted(shares)
    assert len(set(shares)) <= 20
    is_over = sum(spans_ms) >= ramp_ms or share_ppm == 1
    assert (shares[-1] == share_ppm) is is_over


def test_neither_frozen_nor_out_of_turn_does_a_ramp_go_on() -> None:
    """Its clock stands too, so that a thaw is no leap."""
    run = enter(run_of(Stage("most", 200_000, ramp_ms=19_000)), 0, 0)
    assert ramped(run, 9_000, is_frozen=True) == ramped(run, 9_000, may_grow=False) == [10_000]
    frozen, _ = run_on(run, Tick(0, 1, is_frozen=True), 9_000, is_healthy=True)
    assert (frozen.progress.ramp_ms, frozen.progress.waits_for) == (0, ("thaw",))


@pytest.mark.parametrize(
    ("exposed", "is_healthy", "is_frozen", "waits_for"),
    [
        (9, True, False, ("exposed",)),
        (10, False, False, ("healthy",)),
        (9, False, False, ("exposed", "healthy")),
        (10, True, True, ("thaw",)),
    ],
)
def test_what_a_stage_waits_for(*, exposed: int, is_healthy: bool, is_frozen: bool, waits_for: tuple[str, ...]) -> None:
    """Each criterion that is missing is named, and none of them is passed."""
    run = enter(run_of(Stage("canary", 1, exit=Exit(exposed=10, is_healthy=True)), Stage("full", 2)), 0, 0)
    after, effects = run_on(run, Tick(0, 1, exposed_units=exposed, is_frozen=is_frozen), 1, is_healthy=is_healthy)
    assert (after.stage_name, after.progress.waits_for, effects) == ("canary", waits_for, ())


def test_soak_is_no_more_than_what_is_asked_for() -> None:
    """A stage that waits for something else does not pile up time."""
    run = enter(run_of(Stage("canary", 1, soak_ms=10, exit=Exit(exposed=1))), 0, 0)
    for _ in range(3):
        run, _ = run_on(run, Tick(0, 8), 8, is_healthy=True)
    assert run.progress.soak_ms == 10


def test_the_finish() -> None:
    """With a watch the run watches and then completes; without one it is complete at once."""
    run = enter(run_of(Stage("all", 900_000), finish=Finish(950_000, 10)), 0, 0)
    watching, _ = advance(run, 5)
    assert (watching.phase, watching.entered[-1].share_ppm, percent(watching)) == (Phase.WATCHING, 950_000, "95 %")
    assert watch_on(watching, Tick(0, 1), 9)[0].phase is Phase.WATCHING
    assert watch_on(watching, Tick(0, 1), 10)[0].phase is Phase.COMPLETED
    assert advance(enter(run_of(Stage("all", 1)), 0, 0), 5)[0].phase is Phase.COMPLETED


def test_going_back_takes_up_a_ramp_where_it_was_left() -> None:
    """A stage that was left in the middle of its ramp is at that step again, no further and no less."""
    run = enter(run_of(Stage("most", 400_000, ramp_ms=19_000), Stage("all", 1_000_000)), 0, 0)
    run, _ = run_on(run, Tick(0, 1_000), 7_500, is_healthy=True)
    back = back_to(enter(run, 1, 0), 0)
    assert back.entered == run.entered
    assert ramped(back, 0, 999, 1) == [160_000, 160_000, 180_000]


def test_shares_are_written_as_people_write_them() -> None:
    """No more digits than there are."""
    shares = {1: "0.0001 %", 12_345: "1.2345 %", 25_000: "2.5 %", 1_000_000: "100 %"}
    assert {ppm: percent(enter(run_of(Stage("one", ppm)), 0, 0)) for ppm in shares} == shares
