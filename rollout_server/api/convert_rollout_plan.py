"""Plans of rollouts on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.app.plan_rollout import PlanRolloutQuestion

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.domain.rollout_pace import Pace
    from rollout_server.domain.rollout_plan import RolloutPlan, StagePlan
    from rollout_server.domain.rollout_population import Exempt


def rollout_plan_question(message: pb.PlanRolloutQuestion) -> PlanRolloutQuestion:
    """Read the question."""
    return PlanRolloutQuestion(message.rollout, message.synthetic_count, message.listed_max)


def rollout_plan(plan: RolloutPlan, position: Position) -> pb.PlanRolloutResponse:
    """Write a plan of a rollout."""
    counted = plan.counted
    return pb.PlanRolloutResponse(
        rollout=plan.rollout,
        flag=plan.flag,
        from_variant=plan.from_variant,
        to_variant=plan.to_variant,
        unit=plan.unit,
        run=plan.run,
        phase=plan.phase.value,
        now_ms=plan.now_ms,
        stages=[_stage(one) for one in plan.stages],
        completes_ms=plan.completes_ms or 0,
        contexts=counted.contexts if counted else 0,
        units=counted.units if counted else 0,
        population_is_synthetic=plan.is_synthetic,
        exempt=[_exempt(one) for one in counted.exempt] if counted else [],
        warnings=plan.warnings,
        position=write_position(position),
    )


def _stage(stage: StagePlan) -> pb.PlannedStage:
    entrants = stage.entrants
    return pb.PlannedStage(
        name=stage.name,
        audience=stage.audience,
        share_ppm=stage.share_ppm,
        entered=stage.is_entered,
        enters_ms=stage.enters_ms or 0,
        steps=[pb.PlannedStep(at_ms=step.at_ms, share_ppm=step.share_ppm) for step in stage.steps],
        soak_ms=stage.soak_ms,
        waited_for=stage.waited_for,
        needs=stage.needs,
        required=stage.required,
        entering=entrants.entering if entrants else None,
        exposed=entrants.exposed if entrants else None,
        control=entrants.control if entrants else None,
        candidates=entrants.candidates if entrants else (),
        controls=entrants.controls if entrants else (),
        paces=[_pace(one) for one in stage.paces],
    )


def _pace(pace: Pace) -> pb.GuardrailPace:
    return pb.GuardrailPace(
        metric=pace.metric,
        healthy_ms=pace.healthy_ms,
        caught_ms=pace.caught_ms,
        regression=pace.regression,
        unknown=pace.unknown,
        relative=pace.is_relative,
    )


def _exempt(exempt: Exempt) -> pb.ExemptUnits:
    return pb.ExemptUnits(
        code=exempt.why.name.lower(),
        why=exempt.why.value,
        rule=exempt.detail,
        variant=exempt.variant or "",
        count=exempt.count,
        examples=exempt.examples,
    )
