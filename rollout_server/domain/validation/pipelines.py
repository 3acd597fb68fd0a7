"""Pipelines: whether every stage can be entered, judged and left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import show
from rollout_sdk.engine.limits import STAGES_PER_PIPELINE, STRATA_PER_PIPELINE
from rollout_sdk.engine.model import DEFAULT_UNIT, PPM
from rollout_sdk.engine.validate_rollouts import check_audience
from rollout_server.domain.files import durations, percent
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action
from rollout_server.domain.rollouts import ESCALATION_STEPS_MAX
from rollout_server.domain.validation.metrics import check_guardrails, check_reaches
from rollout_server.domain.validation.world import check_approval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Condition
    from rollout_server.domain.rollouts import PipelineSpec
    from rollout_server.domain.validation.audiences import Audiences
    from rollout_server.domain.validation.world import World

FINISH = "finish"
"""What people call the place after the last stage, so that no stage may have the name."""

HOLD_MAX_MS = 7 * 86_400_000


def check_pipeline(findings: Findings, world: World, audiences: Audiences, key: str) -> None:
    """Note everything that is wrong with a pipeline, apart from what a rollout makes of it."""
    spec = world.pipelines[key]
    _check_strata(findings, spec)
    if not spec.stages:
        message = "a pipeline without stages leads nowhere"
        findings.add("spec.stages", "no_stages", message, "write at least one: {name: canary, share: 1%, soak: 1h}")
    hint = "join some of them, or let a stage ramp"
    findings.too_many("spec.stages", len(spec.stages), STAGES_PER_PIPELINE, "stages", hint)
    _check_names(findings, spec)
    check_guardrails(findings, world, spec.guardrails)
    check_reaches(findings, world, spec)
    for at in range(len(spec.stages)):
        _check_stage(findings, world, audiences, spec, at)
    _check_shares(findings, audiences, spec)
    if not world.rollouts_through.get(key):
        _check_sizes(findings, audiences, spec)
    _check_blind(findings, spec)
    _check_escalation(findings, world, spec)


def _check_strata(findings: Findings, spec: PipelineSpec) -> None:
    hint = "each name multiplies what is reported and judged"
    findings.too_many("spec.strata", len(spec.strata), STRATA_PER_PIPELINE, "names", hint)
    for at, name in enumerate(spec.strata):
        if name in spec.strata[:at]:
            findings.add(f"spec.strata[{at}]", "duplicate_stratum", f"{show(name)} is there twice", "keep one")


def _check_names(findings: Findings, spec: PipelineSpec) -> None:
    seen: dict[str, int] = {}
    for at, stage in enumerate(spec.stages):
        first = seen.setdefault(stage.name, at)
        if first != at:
            message = f"spec.stages[{first}] is named {show(stage.name)} too; verbs name the stage they mean"
            findings.add(f"spec.stages[{at}].name", "duplicate_stage", message, "give each stage its own name")
        if stage.name == FINISH:
            message = "finish is what comes after the last stage"
            findings.add(f"spec.stages[{at}].name", "reserved_name", message, "name the stage otherwise")


def _check_stage(findings: Findings, world: World, audiences: Audiences, spec: PipelineSpec, at: int) -> None:
    stage, path = spec.stages[at], f"spec.stages[{at}]"
    if not 0 < stage.share_ppm <= PPM:
        message = f"a stage at {percent.show(max(0, stage.share_ppm))} exposes nobody"
        findings.add(f"{path}.share", "bad_share", message, "write a share above 0%, at most 100%")
    before = len(findings.problems)
    check_audience(findings, stage.audience, f"{path}.audience", world.hashed)
    if len(findings.problems) == before and audiences.is_nobody(stage.audience):
        message = "nobody can be in this audience: what it asks for excludes itself"
        findings.add(f"{path}.audience", "empty_audience", message, "ask for one of them, or for any instead of all")
    for name, duration_ms in (("ramp", stage.ramp_ms), ("soak", stage.soak_ms)):
        if not 0 <= duration_ms <= durations.DURATION_MAX_MS:
            longest = durations.show(durations.DURATION_MAX_MS)
            findings.add(f"{path}.{name}", "out_of_range", f"a {name} lasts from 0m to {longest}", "mend it")
    if stage.exit.exposed < 0:
        findings.add(f"{path}.exit.exposed", "bad_count", "a number of units is not negative", "write 0 or more")
    if stage.exit.approval is not None:
        check_approval(findings, world, stage.exit.approval, f"{path}.exit.approval")
    if stage.exit.is_healthy:
        _check_healthy(findings, audiences, spec, at)


def _check_healthy(findings: Findings, audiences: Audiences, spec: PipelineSpec, at: int) -> None:
    """What can never be healthy would hold the run here for ever."""
    path = f"spec.stages[{at}].exit.guardrails"
    judging = [one for one in spec.guardrails if one.action is not Action.NOTIFY]
    if not judging:
        message = "there is no guardrail that could be healthy"
        hint = "give the pipeline guardrails with action rollback or hold, or take this out"
        findings.add(path, "no_guardrails", message, hint)
        return
    if all(isinstance(one.limit, AbsoluteLimit) for one in judging) or audiences.has_control(spec.stages[: at + 1]):
        return
    stage = spec.stages[at]
    whole = f"stage {stage.name} exposes all of its audience" if stage.share_ppm >= PPM else "all are exposed by now"
    message = f"no control can exist: {whole}, and nobody else is reached and not exposed"
    findings.add(path, "no_control", message, "lower the share, or judge by soak, exposed or approval here")


def _check_shares(findings: Findings, audiences: Audiences, spec: PipelineSpec) -> None:
    for at, stage in enumerate(spec.stages):
        wider = next(
            (
                earlier
                for earlier in spec.stages[:at]
                if earlier.share_ppm > stage.share_ppm > 0 and audiences.covers(earlier.audience, stage.audience)
            ),
            None,
        )
        if wider is not None:
            message = (
                f"stage {wider.name} has exposed {percent.show(wider.share_ppm)} of this audience already,"
                f" so {percent.show(stage.share_ppm)} exposes nobody new"
            )
            findings.add(f"spec.stages[{at}].share", "shrinking_share", message, "let shares grow from stage to stage")
    finish_ppm = spec.finish.share_ppm
    widest_ppm = max((stage.share_ppm for stage in spec.stages if stage.audience is None), default=0)
    hint = "write at least as much, or leave it out for 100%"
    if finish_ppm <= 0:
        findings.add("spec.finish.share", "bad_share", "a finish at 0% takes everybody back", hint)
    elif finish_ppm < widest_ppm:
        message = f"{percent.show(finish_ppm)} of everyone is less than the stages expose: {percent.show(widest_ppm)}"
        findings.add("spec.finish.share", "shrinking_share", message, hint)


def _check_sizes(findings: Findings, audiences: Audiences, spec: PipelineSpec) -> None:
    """While no rollout takes the pipeline, units are taken for users, as flags have them unless they say otherwise."""
    for at, message in too_small(audiences, spec, DEFAULT_UNIT, ""):
        findings.add(f"spec.stages[{at}].exit.exposed", "audience_too_small", message, "ask for fewer, or list more")


def too_small(
    audiences: Audiences, spec: PipelineSpec, unit: str, salt: str, never: Sequence[Condition] = ()
) -> list[tuple[int, str]]:
    """Return the stages whose `exposed` can never be met, each with the sentence why.

    Args:
        audiences: of the environment.
        spec: of the pipeline.
        unit: kind of unit that is exposed.
        salt: of the rollout; empty where there is none yet.
        never: of the rollout and its flag.
    """
    found = []
    for at, stage in enumerate(spec.stages):
        wanted = stage.exit.exposed
        most = audiences.most_exposed(spec.stages[: at + 1], unit, salt, wanted, never) if wanted > 0 else None
        if most is not None and most < wanted:
            message = f"stage {stage.name} asks for {wanted} exposed units, and its audiences list {most} that can be"
            found.append((at, message))
    return found


def without_control(
    audiences: Audiences, spec: PipelineSpec, unit: str, salt: str, never: Sequence[Condition]
) -> list[str]:
    """Return why stages that wait for healthy guardrails would wait for ever: their few units fall into one arm.

    Args:
        audiences: of the environment.
        spec: of the pipeline.
        unit: kind of unit that is exposed.
        salt: of the rollout.
        never: of the rollout and its flag.
    """
    judging = [one for one in spec.guardrails if one.action is not Action.NOTIFY]
    if all(isinstance(one.limit, AbsoluteLimit) for one in judging):
        return []
    return [
        f"stage {stage.name} waits for healthy guardrails, and of the units that its audiences list "
        f"none is exposed, or none is left as control"
        for at, stage in enumerate(spec.stages)
        if stage.exit.is_healthy
        and audiences.has_control(spec.stages[: at + 1])
        and not audiences.is_split(spec.stages[: at + 1], unit, salt, never)
    ]


def _check_blind(findings: Findings, spec: PipelineSpec) -> None:
    if spec.on_blind is None:
        return
    if not 0 <= spec.on_blind.hold_ms <= HOLD_MAX_MS:
        message = f"being blind for more than {durations.show(HOLD_MAX_MS)} guards nobody"
        findings.add("spec.on_blind.hold", "out_of_range", message, "write a shorter hold")
    if not spec.guardrails:
        message = "there are no guardrails that could be blind"
        findings.add("spec.on_blind", "no_guardrails", message, "add guardrails, or take on_blind out")


def _check_escalation(findings: Findings, world: World, spec: PipelineSpec) -> None:
    hint = "fewer people, sooner"
    findings.too_many("spec.escalation", len(spec.escalation), ESCALATION_STEPS_MAX, "steps", hint)
    for at, step in enumerate(spec.escalation):
        path = f"spec.escalation[{at}]"
        if step.channel not in world.channels:
            findings.unknown(f"{path}.notify", "channel", step.channel, world.channels)
        if step in spec.escalation[:at]:
            findings.add(path, "duplicate_step", "the same channel is told at the same time twice", "keep one of them")
        if step.after_ms < 0:
            findings.add(f"{path}.after", "out_of_range", "nobody is told before it happens", "write 0m or more")
