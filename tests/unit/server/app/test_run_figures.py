"""Figures of what is under way, from memory alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout_server.app.run_figures import SHOWN_MAX, RolloutFigures, rollout_figures
from rollout_server.domain.machine import Phase
from rollout_server.domain.machine.run import Need, NoticeKind
from rollout_server.domain.resources import ResourceId, RolloutStatus
from tests.rollout_room import LAUNCH, STAGES, Room, documents, guarded, room


def seen(around: Room) -> RolloutFigures:
    return rollout_figures(around.environment.state.resources, around.runs.memories)


async def test_a_run_that_is_driven_here_shows_all_that_ticks_learned() -> None:
    async with room(*documents(pipeline={"guardrails": guarded()})) as around:
        await around.start()
        await around.live(4, candidate=(20, 1), control=(80, 4))
        (one,) = seen(around).shown
    assert (one.rollout, one.flag, one.run, one.phase, one.stage) == ("launch", "checkout", 1, "running", "canary")
    assert one.share_ppm == 200_000
    assert one.exposed_units
    assert one.control_units
    assert one.soak_left_ms is not None
    assert 0 < one.soak_left_ms < 10_000
    assert [name for name, _ in one.verdicts] == ["errors", "process_lost"]


async def test_another_server_knows_where_a_run_is_and_no_more() -> None:
    """Figures of ticks are told by the one that makes them: two servers never tell two of the same."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as around:
        await around.start()
        await around.live(2, candidate=(20, 1), control=(80, 4))
        around.fence = None
        await around.runs.tick()
        (one,) = seen(around).shown
    assert (one.phase, one.stage, one.share_ppm) == ("running", "canary", 200_000)
    assert (one.exposed_units, one.control_units, one.soak_left_ms, one.verdicts) == (None, None, None, ())


async def test_every_phase_is_counted_and_what_is_over_is_not_shown() -> None:
    """Nobody is exposed by it, and nobody is waited for."""
    async with room(*documents()) as around:
        assert seen(around).phases == dict.fromkeys([phase.value for phase in Phase], 0)
        await around.start()
        assert seen(around).phases["running"] == 1
        changed = of(around, phase=Phase.ROLLED_BACK, need=None)
    assert rollout_figures(changed, {}).shown == ()
    assert sum(rollout_figures(changed, {}).phases.values()) == 0


async def test_what_is_rolled_back_is_shown_until_somebody_answers() -> None:
    async with room(*documents()) as around:
        await around.start()
        need = Need(NoticeKind.ROLLED_BACK, "launch is rolled back")
        waiting = rollout_figures(of(around, phase=Phase.ROLLED_BACK, need=need), {})
        answered = of(around, phase=Phase.ROLLED_BACK, need=replace(need, acknowledged_by="mia"))
    (one,) = waiting.shown
    assert one.needs_person
    assert one.share_ppm == 0
    assert rollout_figures(answered, {}).shown == ()


async def test_the_finish_counts_its_watch() -> None:
    async with room(*documents(STAGES[0], pipeline={"finish": {"share": "100%", "watch": "30s"}})) as around:
        await around.start()
        run = await around.live(14)
        assert run.phase is Phase.WATCHING
        (one,) = seen(around).shown
    assert one.stage == "finish"
    assert one.soak_left_ms is not None
    assert 15_000 < one.soak_left_ms <= 30_000


async def test_beyond_the_bound_runs_are_only_counted() -> None:
    """Those that need a person are shown first: a scrape costs no more, whatever people start."""
    async with room(*documents()) as around:
        await around.start()
        resources = dict(around.environment.state.resources)
        rollout, run = around.rollout(), around.run()
    for number in range(SHOWN_MAX + 20):
        key = f"r{number:03}"
        need = Need(NoticeKind.HELD, "held") if number == SHOWN_MAX + 19 else None
        status = RolloutStatus(run=replace(run, rollout=key, need=need), salt="0" * 16)
        resources[ResourceId(LAUNCH.kind, key)] = replace(rollout, status=status)
    figures = rollout_figures(resources, {})
    assert len(figures.shown) == SHOWN_MAX
    assert figures.shown[0].rollout == f"r{SHOWN_MAX + 19:03}"
    assert figures.phases["running"] == SHOWN_MAX + 21


async def test_killed_flags_are_counted() -> None:
    async with room(*documents()) as around:
        flags = dict(around.environment.state.resources)
        assert rollout_figures(flags, {}).flags_killed == 0
        (id_,) = (one for one in flags if str(one) == "flag/checkout")
        killed: Any = flags[id_].status
        flags[id_] = replace(flags[id_], status=replace(killed, killed=True))
    assert rollout_figures(flags, {}).flags_killed == 1


def of(around: Room, **changed: Any) -> dict[ResourceId, Any]:
    """The room's resources, its run changed."""
    rollout = around.rollout()
    status: Any = rollout.status
    resources: dict[ResourceId, Any] = dict(around.environment.state.resources)
    resources[LAUNCH] = replace(rollout, status=replace(status, run=replace(status.run, **changed)))
    return resources
