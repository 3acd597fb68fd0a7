"""How runs are made safe."""

from __future__ import annotations

from dataclasses import replace

from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine.effects import FlagOff, Notify, WriteFinalVariant
from rollout_server.domain.machine.endings import by_blindness, by_verdict, kill, rollback
from rollout_server.domain.machine.events import Judged, Kill, Rollback, Tick
from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import End, Phase, Trigger, reaches
from rollout_server.domain.rollouts import Escalation, PipelineSpec, Stage
from tests.machine_worlds import scheduled

FRESH = scheduled(PipelineSpec((Stage("canary", 10_000),), escalation=(Escalation(0, "team"), Escalation(9, "pager"))))
RUN = enter(FRESH, 0, 0)


def test_a_person_rolls_back() -> None:
    """Nobody is exposed, it is written who and where, and nobody is paged for what a person did."""
    run, effects = rollback(RUN, Rollback("ann", 7, "looks odd"))
    assert run.end == End(Trigger.PERSON, "ann", "looks odd", 7, "canary")
    assert (run.phase, reaches(run), run.need) == (Phase.ROLLED_BACK, (), None)
    (notify,) = effects
    assert isinstance(notify, Notify)
    assert notify.notice.sentence == "ann rolled back launch run 1 at canary: looks odd"


def test_a_guardrail_rolls_back() -> None:
    """The verdict's own sentence is the reason everywhere, its guard is named, and somebody is called."""
    run, _ = by_verdict(RUN, Tick(7, 1), Judged("latency", Standing.DEGRADED, "latency is past its limit"))
    assert run.end == End(Trigger.VERDICT, "engine", "latency is past its limit", 7, "canary", "latency")
    assert run.need is not None
    assert run.need.sentence == "launch run 1 at canary was rolled back: latency is past its limit"
    silent, _ = by_verdict(RUN, Tick(7, 1), Judged("latency", Standing.DEGRADED))
    assert silent.end is not None
    assert silent.end.why == "latency is degraded"


def test_blindness_rolls_back() -> None:
    """Its trigger is told apart from a verdict's: nobody is blamed."""
    run, _ = by_blindness(RUN, Tick(7, 1), "nothing was seen")
    assert run.end == End(Trigger.BLIND, "engine", "nothing was seen", 7, "canary")


def test_a_kill_ends_what_is_under_way() -> None:
    """The flag is off in the same step; a run that is over stays as it ended."""
    run, effects = kill(RUN, Kill("ann", 7))
    assert run.end is not None
    assert (run.phase, run.end.trigger, effects[0]) == (Phase.ROLLED_BACK, Trigger.KILL, FlagOff("checkout"))
    cancelled = replace(FRESH, phase=Phase.CANCELLED)
    assert kill(cancelled, Kill("ann", 7))[0].phase is Phase.CANCELLED
    done = replace(RUN, phase=Phase.COMPLETED)
    assert kill(done, Kill("ann", 7))[0].phase is Phase.ROLLED_BACK
    assert kill(replace(done, is_finished=True), Kill("ann", 7))[0].phase is Phase.COMPLETED


def test_rolling_back_a_finished_run_undoes_the_flag() -> None:
    """The rule is gone by then, so `from` is written where `to` was."""
    _, effects = rollback(replace(RUN, phase=Phase.COMPLETED, is_finished=True), Rollback("ann", 7))
    assert effects[0] == WriteFinalVariant("checkout", "off")
