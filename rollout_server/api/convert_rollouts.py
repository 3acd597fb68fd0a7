"""Rollouts, events and certificates as the control contract says them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import InCohort
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.domain.files import canonical_json
from rollout_server.domain.files.conditions import write_condition
from rollout_server.domain.machine import EXPOSING, FINISH, Phase, sentence
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollout_sdk.engine.model import Condition
    from rollout_server.app.certify import Certificate
    from rollout_server.app.events import Event
    from rollout_server.app.rollout_view import RolloutView
    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.domain.guardrails.verdict import Verdict
    from rollout_server.domain.machine import Run
    from rollout_server.domain.machine.run import Act, End
    from rollout_server.domain.notification import Notified
    from rollout_server.domain.resources import Evidence, Resource

_AUDIENCE_CHARACTERS_MAX = 60


def rollout(view: RolloutView) -> pb.Rollout:
    """Write a rollout as it stands."""
    spec, run = view.rollout.spec, view.run
    if not isinstance(spec, RolloutSpec):
        raise TypeError(f"{view.rollout.id} is no rollout")
    key = view.rollout.metadata.key
    message = pb.Rollout(
        key=key,
        flag=spec.flag,
        owner=view.rollout.metadata.owner,
        from_variant=run.from_variant if run else spec.from_variant,
        to_variant=run.to_variant if run else spec.to_variant,
        sentence=sentence(run) if run else view.unstarted,
        exposed_units=view.candidate_units,
        control_units=view.control_units,
        unit=view.unit,
        frozen=view.is_frozen,
        thaw_at_ms=view.thaw_at_ms or 0,
        killed=view.is_killed,
        pipeline=spec.pipeline,
        start=spec.start,
        instances_connected=view.fleet.connected,
        instances_behind=view.fleet.behind,
        instances_unreachable=view.fleet.unreachable,
        version=view.rollout.version,
    )
    if run is not None:
        _add_run(message, run, view)
    return message


def summary(
    resource: Resource, run: Run | None, awaited: Mapping[str, str], standing_still: Mapping[str, str]
) -> pb.RolloutSummary | None:
    """Write a rollout in a line; None where it never had a run and none is awaited.

    Args:
        resource: the rollout.
        run: as ticks left it.
        awaited: by key, when the schedule opens the next run, or what that waits for.
        standing_still: by key, what keeps a run from growing, and until when.
    """
    spec, key = resource.spec, resource.metadata.key
    if not isinstance(spec, RolloutSpec):
        return None
    if key in awaited:
        phase, number = Phase.SCHEDULED.value, run.number if run else 0
        return pb.RolloutSummary(key=key, flag=spec.flag, run=number, phase=phase, sentence=awaited[key])
    if run is None:
        return None
    why = f"; {standing_still[key]}" if key in standing_still else ""
    return pb.RolloutSummary(
        key=key,
        flag=spec.flag,
        run=run.number,
        phase=run.phase.value,
        sentence=sentence(run) + why,
        exposing=run.phase in EXPOSING and not run.is_finished,
        needs_person=run.need is not None and not run.need.acknowledged_by,
    )


def event(one: Event, told: Iterable[Notified] = ()) -> pb.Event:
    """Write an event, and what became of telling it."""
    return pb.Event(
        id=one.id,
        revision=one.revision,
        at_ms=one.at_ms,
        rollout=one.rollout,
        run=one.run,
        kind=one.kind,
        sentence=one.sentence,
        actor=one.actor,
        deliveries=[delivery(each) for each in told],
    )


def delivery(one: Notified) -> str:
    """Say what became of telling somebody: "pager: delivered", "team: given up, the channel answered 403"."""
    return f"{one.channel}: {one.sending.value}{f', {one.why}' if one.why else ''}"


def certificate(one: Certificate, entry: pb.Entry | None, metrics: Mapping[str, MetricSpec]) -> pb.Certificate:
    """Write a certificate; `entry` is its commit, written."""
    obeying = one.obedience
    message = pb.Certificate(
        environment=one.environment,
        flag=one.flag,
        rollout=one.run.rollout if one.run else "",
        run=one.run.number if one.run else 0,
        what=one.what,
        variant=one.variant,
        trigger=_end(one.run.end) if one.run and one.run.end else None,
        guardrails=list(_guardrails(one.run, one.verdicts, metrics)) if one.run else [],
        entry=entry,
        in_force=obeying.in_force,
        quarantined=obeying.quarantined,
        straggling=obeying.straggling,
        unreachable=obeying.unreachable,
        forgotten=obeying.forgotten,
        unheard=obeying.unheard,
        complete=obeying.is_complete,
        still_serving=one.still_serving,
        exposed_units=one.exposed_units,
        unit=one.unit,
    )
    if one.acknowledged is not None:
        message.first_ack_ms, message.last_ack_ms = one.acknowledged.first_ms, one.acknowledged.last_ms
    return message


def _add_run(message: pb.Rollout, run: Run, view: RolloutView) -> None:
    message.run, message.phase, message.stage = run.number, run.phase.value, run.stage_name
    message.share_ppm = run.entered[-1].share_ppm if run.entered and run.phase in EXPOSING else 0
    message.stages.extend(_stages(run))
    message.guardrails.extend(_guardrails(run, view.verdicts, view.metrics))
    message.changed_at_ms, message.finished = run.changed_at_ms, run.is_finished
    for name, act in (("started", run.started), ("paused", run.paused)):
        if act is not None:
            getattr(message, name).CopyFrom(_act(act))
    if run.end is not None:
        message.end.CopyFrom(_end(run.end))
    if run.need is not None:
        need = run.need
        message.need.CopyFrom(
            pb.Need(kind=need.kind.value, sentence=need.sentence, acknowledged_by=need.acknowledged_by)
        )


def _stages(run: Run) -> Iterator[pb.StageStatus]:
    reached = {entered.place: entered.share_ppm for entered in run.entered}
    count, progress = len(run.pipeline.stages), run.progress
    for place, stage in enumerate(run.pipeline.stages):
        state, approval = _state(run, place, reached), stage.exit.approval
        is_done = state == pb.STAGE_STATE_DONE
        is_here = place == run.place
        yield pb.StageStatus(
            name=stage.name,
            audience=audience(stage.audience),
            share_ppm=stage.share_ppm,
            reached_ppm=reached.get(place, 0),
            state=state,
            ramp_ms=stage.ramp_ms,
            ramped_ms=stage.ramp_ms if is_done else progress.ramp_ms if is_here else 0,
            soak_ms=stage.soak_ms,
            soaked_ms=stage.soak_ms if is_done else progress.soak_ms if is_here else 0,
            waits_for=progress.waits_for if is_here else (),
            exposed_wanted=stage.exit.exposed,
            healthy_wanted=stage.exit.is_healthy,
            approval_from=approval.group if approval else "",
            approval_count=approval.count if approval else 0,
            approved_by=[given.person for given in run.approvals if given.stage == stage.name],
            owner=stage.owner,
        )
    is_here = run.place == count
    yield pb.StageStatus(
        name=FINISH,
        audience=audience(None),
        share_ppm=run.pipeline.finish.share_ppm,
        reached_ppm=reached.get(count, 0),
        state=_state(run, count, reached),
        soak_ms=run.pipeline.finish.watch_ms,
        soaked_ms=progress.soak_ms if is_here else 0,
        waits_for=progress.waits_for if is_here else (),
    )


def _state(run: Run, place: int, reached: Mapping[int, int]) -> pb.StageState.ValueType:
    if place > run.place:
        return pb.STAGE_STATE_AHEAD
    if place == run.place:
        return pb.STAGE_STATE_HERE
    return pb.STAGE_STATE_DONE if place in reached else pb.STAGE_STATE_SKIPPED


def audience(condition: Condition | None) -> str:
    """Say whom a stage is for, as people write it."""
    if condition is None:
        return "everyone"
    if isinstance(condition, InCohort):
        return f"cohort {condition.cohort}"
    text = canonical_json(write_condition(condition)).decode()
    return text if len(text) <= _AUDIENCE_CHARACTERS_MAX else f"{text[: _AUDIENCE_CHARACTERS_MAX - 1]}…"


def _guardrails(run: Run, verdicts: Evidence, metrics: Mapping[str, MetricSpec]) -> Iterator[pb.GuardrailStatus]:
    said = dict(verdicts)
    for guard in run.guards:
        verdict = said.get(guard.name)
        key = guard.name.partition("#")[0]
        message = pb.GuardrailStatus(name=guard.name, metric=key, action=guard.action.value)
        metric = metrics.get(key)
        message.unit = metric.unit if metric is not None else ""
        if verdict is not None:
            _add_verdict(message, verdict)
        yield message


def _add_verdict(message: pb.GuardrailStatus, verdict: Verdict) -> None:
    message.standing, message.reason, message.sentence = verdict.standing.value, verdict.reason.value, verdict.sentence
    message.limit, message.is_relative = verdict.limit, verdict.relative
    message.log_e = verdict.log_e if isfinite(verdict.log_e) else 0.0
    message.candidate_units, message.control_units = verdict.candidate_units, verdict.control_units
    for name in ("estimate", "low", "high", "harm"):
        value = getattr(verdict, name)
        if value is not None and isfinite(value):
            setattr(message, name, value)
    if verdict.verdict_in_ms is not None:
        message.verdict_in_ms = verdict.verdict_in_ms


def _act(act: Act) -> pb.Act:
    return pb.Act(who=act.who, at_ms=act.at_ms, why=act.why)


def _end(end: End) -> pb.End:
    return pb.End(
        trigger=end.trigger.value, who=end.who, why=end.why, at_ms=end.at_ms, stage=end.stage, guardrail=end.guard
    )
