"""What people can do, and when the answer is no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.machine.effects import Effect, Refusal, WriteFinalVariant
from rollout_server.domain.machine.events import (
    Acknowledge,
    Approve,
    Cancel,
    Finish,
    Pause,
    Promote,
    Reject,
    Resume,
    Start,
)
from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import Act, Need, NoticeKind, Phase, Progress, approvers
from rollout_server.domain.machine.verbs import (
    acknowledge,
    approve,
    cancel,
    finish,
    pause,
    promote,
    reject,
    resume,
    start,
)
from rollout_server.domain.rollouts import Approval, Exit, PipelineSpec, Stage
from rollout_server.domain.rollouts import Finish as FinishSpec
from tests.machine_worlds import scheduled

PIPELINE = PipelineSpec(
    (
        Stage("canary", 10_000),
        Stage("quarter", 250_000, exit=Exit(approval=Approval("managers", 2))),
        Stage("full", 950_000),
    ),
    finish=FinishSpec(950_000),
)
FRESH = scheduled(PIPELINE)
CANARY = replace(enter(FRESH, 0, 0), progress=Progress(last_tick_ms=0, soak_ms=0))
QUARTER = enter(CANARY, 1, 0)
DONE = enter(QUARTER, 3, 0)


def rule(effects: tuple[Effect, ...]) -> str:
    """The rule that said no; every no says what to do next."""
    refusals = [effect for effect in effects if isinstance(effect, Refusal)]
    assert all(one.message and one.hint for one in refusals)
    return refusals[0].rule if refusals else ""


def test_start() -> None:
    """The first stage is entered at once; frozen or without a stage it is not."""
    run, effects = start(FRESH, Start("ann", 7, "release 42"))
    assert (run.stage_name, run.allocation, run.started) == ("canary", 1, Act("ann", 7, "release 42"))
    assert rule(effects) == ""
    assert rule(start(FRESH, Start("ann", 7, is_frozen=True))[1]) == "freeze"
    assert rule(start(scheduled(PipelineSpec(())), Start("ann", 7))[1]) == "pipeline"


def test_pause_and_resume() -> None:
    """Both leave reach alone; the time between counts for nothing."""
    paused, _ = pause(CANARY, Pause("ann", 7, "odd"))
    assert (paused.phase, paused.paused, paused.entered) == (Phase.PAUSED, Act("ann", 7, "odd"), CANARY.entered)
    again, _ = resume(paused, Resume("ann", 9, "canary"))
    assert (again.phase, again.paused, again.progress.last_tick_ms) == (Phase.RUNNING, None, None)
    assert rule(resume(paused, Resume("ann", 9, "quarter"))[1]) == "stage"


def test_approve_and_reject() -> None:
    """People count once each, for the stage they name; a no voids the yeses of this stage, and stops it."""
    waiting = replace(QUARTER, phase=Phase.AWAITING_APPROVAL, need=Need(NoticeKind.AWAITING_APPROVAL, "approve"))
    one, _ = approve(waiting, Approve("ann", 7, "quarter"))
    assert (one.phase, approvers(one)) == (Phase.AWAITING_APPROVAL, ("ann",))
    assert rule(approve(one, Approve("ann", 8, "quarter"))[1]) == "approval"
    assert rule(approve(one, Approve("Ann ", 8, "quarter"))[1]) == "approval"
    two, _ = approve(one, Approve("bob", 8, "quarter"))
    assert (two.phase, two.need) == (Phase.RUNNING, None)
    no, _ = reject(one, Reject("bob", 8, "quarter", "not today"))
    assert (no.phase, approvers(no), no.paused) == (Phase.PAUSED, (), Act("bob", 8, "rejected: not today"))
    assert rule(approve(CANARY, Approve("ann", 7, "canary"))[1]) == "approval"
    assert rule(reject(CANARY, Reject("ann", 7, "canary"))[1]) == "approval"
    assert rule(approve(QUARTER, Approve("ann", 7, "canary"))[1]) == "stage"


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (Promote("ann", 7, "canary"), "reason"),
        (Promote("ann", 7, "canary", reason="urgent", is_frozen=True), "freeze"),
        (Promote("ann", 7, "canary", "full", "urgent"), "approval"),
        (Promote("ann", 7, "canary", "finish", "urgent"), "approval"),
        (Promote("ann", 7, "canary", "canary", "urgent"), "stage"),
        (Promote("ann", 7, "canary", "nowhere", "urgent"), "stage"),
        (Promote("ann", 7, "quarter", "full", "urgent"), "stage"),
        (Promote("ann", 7, "canary", reason="urgent"), ""),
        (Promote("ann", 7, "canary", "quarter", "urgent"), ""),
    ],
)
def test_promote_forward(event: Promote, wanted: str) -> None:
    """With a reason, thawed, to a later stage, and past nobody's approval."""
    run, effects = promote(CANARY, event)
    assert rule(effects) == wanted
    assert run.stage_name == ("canary" if wanted else "quarter")


def test_promote_past_the_last_stage() -> None:
    """The finish is a place like any other, by name or as the next one."""
    approved = replace(QUARTER, pipeline=replace(PIPELINE, stages=PIPELINE.stages[:1] * 2))
    for to in ("", "finish"):
        run, _ = promote(approved, Promote("ann", 7, "canary", to, "urgent"))
        assert (run.phase, run.place) == (Phase.COMPLETED, 2)


def test_promote_backward() -> None:
    """To stages that were entered, without a reason and frozen or not; a paused run stays paused."""
    approved, _ = approve(QUARTER, Approve("ann", 7, "quarter"))
    run, effects = promote(approved, Promote("ann", 7, "quarter", "canary", is_frozen=True))
    assert (rule(effects), run.stage_name, run.approvals, run.allocation) == ("", "canary", (), QUARTER.allocation + 1)
    skipped = enter(CANARY, 2, 0)
    assert rule(promote(skipped, Promote("ann", 7, "full", "quarter", "urgent"))[1]) == "order"
    paused = pause(QUARTER, Pause("ann", 7, "odd"))[0]
    back, _ = promote(paused, Promote("ann", 7, "quarter", "canary"))
    assert (back.phase, back.paused) == (Phase.PAUSED, Act("ann", 7, "odd"))
    assert rule(promote(paused, Promote("ann", 7, "quarter", "full", "urgent"))[1]) == "phase"


def test_finish() -> None:
    """The final variant is written once; frozen, only where that exposes nobody new."""
    run, effects = finish(DONE, Finish("ann", 7, "finish"))
    assert (run.is_finished, effects) == (True, (WriteFinalVariant("checkout", "on"),))
    assert rule(finish(run, Finish("ann", 8, "finish"))[1]) == "phase"
    assert rule(finish(DONE, Finish("ann", 8, "full"))[1]) == "stage"
    assert rule(finish(DONE, Finish("ann", 8, "finish", is_frozen=True))[1]) == "freeze"
    everyone = enter(scheduled(PipelineSpec(PIPELINE.stages[:1])), 1, 0)
    assert rule(finish(everyone, Finish("ann", 8, "finish", is_frozen=True))[1]) == ""


def test_cancel_and_acknowledge() -> None:
    """A run that never started says who decided so; whoever acknowledges first stays named."""
    run, _ = cancel(FRESH, Cancel("ann", 7, "not now"))
    assert run.end is not None
    assert (run.phase, run.end.who, run.end.stage) == (Phase.CANCELLED, "ann", "")
    assert rule(acknowledge(CANARY, Acknowledge("ann", 7))[1]) == "phase"
    needy = replace(CANARY, need=Need(NoticeKind.HELD, "held"))
    twice = acknowledge(acknowledge(needy, Acknowledge("ann", 7))[0], Acknowledge("bob", 8))[0]
    assert twice.need is not None
    assert twice.need.acknowledged_by == "ann"
