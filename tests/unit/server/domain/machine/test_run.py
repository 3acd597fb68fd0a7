"""What may be read off a run."""

from __future__ import annotations

from dataclasses import replace

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail, RelativeLimit
from rollout_server.domain.machine.run import (
    FINISH,
    Approved,
    Entered,
    Guard,
    Phase,
    Progress,
    Reached,
    approvers,
    guards_of,
    is_transition,
    lacks_approval,
    reaches,
    restored,
)
from rollout_server.domain.rollouts import Approval, Exit, PipelineSpec, Stage
from tests.machine_worlds import scheduled

STAFF = InCohort("staff")
RUN = scheduled(
    PipelineSpec(
        (Stage("staff", 1_000_000, STAFF), Stage("canary", 10_000, exit=Exit(approval=Approval("managers", 2)))),
        guardrails=(Guardrail("latency", RelativeLimit(1)),),
    )
)
AT_CANARY = replace(RUN, phase=Phase.RUNNING, entered=(Entered(0, 1, 1_000_000), Entered(1, 1, 10_000)), allocation=2)


def test_where_a_run_is() -> None:
    """Its place is the last stage that it entered; the finish comes after all of them."""
    assert (RUN.place, RUN.stage, RUN.stage_name) == (-1, None, "")
    assert (AT_CANARY.place, AT_CANARY.stage, AT_CANARY.stage_name) == (1, RUN.pipeline.stages[1], "canary")
    finished = replace(AT_CANARY, entered=(*AT_CANARY.entered, Entered(2, 1, 1_000_000)))
    assert (finished.stage, finished.stage_name) == (None, FINISH)


def test_what_the_engine_decides_with() -> None:
    """One reach for each entered stage; none before the first and once it is rolled back."""
    assert reaches(RUN) == ()
    assert reaches(AT_CANARY) == (Reached("staff", STAFF, 1_000_000), Reached("canary", None, 10_000))
    assert reaches(replace(AT_CANARY, phase=Phase.PAUSED)) == reaches(AT_CANARY)
    assert reaches(replace(AT_CANARY, phase=Phase.ROLLED_BACK)) == ()


def test_approvals_are_of_one_stage_and_of_people() -> None:
    """A person counts once, and only for the stage that was meant."""
    given = (Approved("ann", "staff", 1), Approved("bob", "canary", 2), Approved("bob", "canary", 3))
    run = replace(AT_CANARY, approvals=given)
    assert approvers(run) == ("bob",)
    assert lacks_approval(run)
    assert not lacks_approval(replace(run, approvals=(*given, Approved("ann", "canary", 4))))
    assert not lacks_approval(RUN)


def test_guards_are_named_for_their_metrics() -> None:
    """Two guards on one metric are told apart; what is built in comes last."""
    lost = Guard("process_lost", Action.ROLLBACK, is_absolute=True)
    pipeline = PipelineSpec(
        (),
        guardrails=(
            Guardrail("latency", RelativeLimit(1), Action.HOLD),
            Guardrail("errors", AbsoluteLimit(0.01)),
            Guardrail("latency", AbsoluteLimit(2.0), Action.NOTIFY),
        ),
    )
    assert guards_of(pipeline, lost) == (
        Guard("latency", Action.HOLD),
        Guard("errors", Action.ROLLBACK, is_absolute=True),
        Guard("latency#2", Action.NOTIFY, is_absolute=True),
        lost,
    )


def test_ticks_alone_are_no_transition() -> None:
    """What only adds up is checkpointed, not journaled."""
    soaked = replace(AT_CANARY, progress=Progress(soak_ms=5, last_tick_ms=7))
    assert not is_transition(AT_CANARY, soaked)
    assert is_transition(AT_CANARY, replace(soaked, phase=Phase.HELD))


def test_a_checkpoint_belongs_to_one_transition() -> None:
    """One of another transition is void; none at all leaves what the journal says."""
    run = replace(AT_CANARY, transition=3, progress=Progress(3))
    kept = Progress(3, soak_ms=9)
    assert restored(run, kept).progress is kept
    assert restored(run, Progress(2, soak_ms=9)) is run
    assert restored(run, None) is run
