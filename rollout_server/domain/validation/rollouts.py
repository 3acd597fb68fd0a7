"""Rollouts, and the flags that leave an answer to them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.findings import show
from rollout_sdk.engine.instants import parse_instant
from rollout_sdk.engine.model import ByRollout
from rollout_server.domain.validation.pipelines import too_small, without_control

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollout_sdk.engine.findings import Findings
    from rollout_server.domain.rollouts import RolloutSpec
    from rollout_server.domain.validation.audiences import Audiences
    from rollout_server.domain.validation.world import World

_MOMENT_HINT = 'write it like "2026-12-01T09:00:00+09:00", with its zone'
_LOCAL = "Z"
_NAMED_MAX = 10


def check_rollout(findings: Findings, world: World, audiences: Audiences, key: str) -> None:
    """Note everything that is wrong with a rollout, beyond what SDKs would see of it (`engine.validate`)."""
    spec = world.rollouts[key]
    flag = world.flags.get(spec.flag)
    if flag is not None and not world.names_rollout(spec.flag, key) and not world.is_completed(key):
        message = f"no rule of flag/{spec.flag} leaves its answer to this rollout, so it would expose nobody"
        findings.add("spec.flag", "no_rule", message, f"add {{id: launch, rollout: {key}}} to the flag's rules")
    if spec.pipeline not in world.pipelines:
        findings.unknown("spec.pipeline", "pipeline", spec.pipeline, world.pipelines)
    elif flag is not None:
        status = world.rollout_statuses.get(key)
        _check_audiences(findings, world, audiences, spec, status.salt if status else spec.salt or salt16(key))
    if spec.start:
        check_moment(findings, spec.start, "spec.start")
    _check_running(findings, world, key, spec)


def check_after(findings: Findings, spec: RolloutSpec, environments: Collection[str]) -> None:
    """Note an environment to wait for that this server does not have: the rollout could never start.

    Asked of what is written, and not of what stands: a server that was started without an environment refuses no edit
    elsewhere because of it.
    """
    name = spec.after_environment
    if name and name not in environments:
        near = get_close_matches(name, environments, 1)
        listed = ", ".join(sorted(environments)[:_NAMED_MAX])
        hint = f"did you mean {show(near[0])}?" if near else f"this server has: {listed}; or take `after` out here"
        message = f"there is no environment {show(name)} on this server to wait for"
        findings.add("spec.after.environment", "unknown_environment", message, hint)


def _check_audiences(findings: Findings, world: World, audiences: Audiences, spec: RolloutSpec, salt: str) -> None:
    """Note stages that this rollout, of this flag, could not enter, judge or leave; the pipeline alone may be fine."""
    pipeline, flag = world.pipelines[spec.pipeline], world.flags[spec.flag]
    never = (*spec.never, *flag.never)
    at = f"pipeline/{spec.pipeline}: "
    for whose, conditions in (("this rollout", spec.never), (f"flag/{spec.flag}", flag.never)):
        for stage in pipeline.stages:
            if any(audiences.covers(condition, stage.audience) for condition in conditions):
                message = f"{at}stage {stage.name} exposes nobody: all of its audience is in `never` of {whose}"
                hint = "take another pipeline, or mend the never"
                findings.add("spec.pipeline", "empty_audience", message, hint)
    for _, message in too_small(audiences, pipeline, flag.unit, salt, never):
        hint = "ask for fewer there, list more in the cohort, or take another pipeline"
        findings.add("spec.pipeline", "audience_too_small", at + message, hint)
    for message in without_control(audiences, pipeline, flag.unit, salt, never):
        hint = "list more units, change the share, or judge by soak, exposed or approval there"
        findings.add("spec.pipeline", "no_control", at + message, hint)


def _check_running(findings: Findings, world: World, key: str, spec: RolloutSpec) -> None:
    """A run follows what it was started with; what it moves, and between what, stands still until it is over."""
    status = world.rollout_statuses.get(key)
    run = status.run if status and status.is_active else None
    if run is None:
        return
    for name, now, started in (
        ("flag", spec.flag, run.flag),
        ("from", spec.from_variant, run.from_variant),
        ("to", spec.to_variant, run.to_variant),
    ):
        if now != started:
            message = f"run {run.number} is under way with {show(started)}, which cannot change below it"
            findings.add(f"spec.{name}", "under_way", message, f"`rollout rollback {key}` first, or wait for its end")


def check_moment(findings: Findings, text: str, path: str) -> int | None:
    """Return a moment in nanoseconds; None, and a problem noted, where the text is none or leaves its zone open."""
    instant = parse_instant(text)
    if instant is None:
        if parse_instant(text + _LOCAL) is not None:
            findings.add(path, "no_zone", f"{show(text)} does not say its zone", 'add one: "+09:00", or "Z" for UTC')
        else:
            findings.add(path, "bad_moment", f"{show(text)} is no moment", _MOMENT_HINT)
    return instant


def check_flag_rules(findings: Findings, world: World, key: str) -> None:
    """Note rules that leave their answer to a rollout and that nobody can come to."""
    answers_all: int | None = None
    for at, rule in enumerate(world.flags[key].rules):
        if isinstance(rule.outcome, ByRollout) and answers_all is not None:
            message = f"nobody comes this far: spec.rules[{answers_all}] answers everybody before"
            hint = "give that rule a condition, or move it behind this one"
            findings.add(f"spec.rules[{at}].rollout", "unreachable_rule", message, hint)
        if rule.when is None and answers_all is None:
            answers_all = at
