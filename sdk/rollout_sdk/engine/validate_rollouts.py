"""Rollouts and the audiences of their stages: by themselves, and against the flags and cohorts that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.findings import child, show
from rollout_sdk.engine.model import LAW_1, PPM
from rollout_sdk.engine.names import key_fault, salt_fault, unit_kind_fault
from rollout_sdk.engine.narrowing import NOBODY, Narrowing, Side, Sided
from rollout_sdk.engine.shown import percent
from rollout_sdk.engine.validate_conditions import check_cohorts, check_condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort, Condition, Flag, RolloutState


def check_rollout(findings: Findings, state: RolloutState) -> None:
    """Note everything that is wrong with the rollout itself."""
    fault = key_fault(state.rollout)
    if fault:
        hint = "use a-z, 0-9, '.', '_', '-', and begin with a letter or a digit"
        findings.add("metadata.key", "bad_key", f"{show(state.rollout)} cannot be the key of a rollout: {fault}", hint)
    fault = salt_fault(state.salt)
    if fault:
        findings.add("spec.salt", "bad_salt", f"{show(state.salt)} is no salt: {fault}", "leave it out to get one")
    if state.law != LAW_1:
        message = f"there is no bucketing law {state.law} here"
        findings.add("", "unknown_law", message, f"use law {LAW_1}, or a release that knows this one")
    fault = unit_kind_fault(state.unit)
    if fault:
        findings.add("", "bad_unit", f"{show(state.unit)} cannot be a kind of unit: {fault}", "mend the flag's unit")
    if state.from_variant == state.to_variant:
        message = f"it moves from {show(state.from_variant)} to the same variant, so nobody could be exposed"
        findings.add("spec.to", "from_is_to", message, "name the variant to move to")
    for at, condition in enumerate(state.never):
        check_condition(findings, condition, f"spec.never[{at}]")
    findings.too_many("spec.never", len(state.never), limits.NEVER_PER_FLAG, "conditions", "join some of them by any")
    for reach in state.reaches:
        if not 0 <= reach.share_ppm <= PPM:
            message = f"stage {show(reach.stage)} has a share of {percent(reach.share_ppm)}"
            findings.add("", "bad_share", message, "give a share between 0% and 100%")


def check_names(
    findings: Findings, state: RolloutState, flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort]
) -> None:
    """Note everything that the rollout names and that does not exist: its flag, variants, and cohorts.

    Audiences of stages that a run has entered have no place in a document: the pipeline was copied when it started.
    """
    flag = flags.get(state.flag)
    if flag is None:
        findings.unknown("spec.flag", "flag", state.flag, flags)
    else:
        variants = [variant.key for variant in flag.variants]
        for path, variant in (("spec.from", state.from_variant), ("spec.to", state.to_variant)):
            if variant not in variants:
                findings.unknown(path, "variant", variant, variants)
    for at, condition in enumerate(state.never):
        check_cohorts(findings, condition, f"spec.never[{at}]", cohorts)
    for reach in state.reaches:
        check_cohorts(findings, reach.audience, child("run.stages", reach.stage) + ".audience", cohorts)


def check_audience(findings: Findings, audience: Condition | None, path: str, cohorts: Mapping[str, Cohort]) -> None:
    """Note everything that is wrong with the audience of a stage, what it names included.

    Args:
        findings: speaks of the resource whose document the path belongs to.
        audience: None is everyone.
        path: its place there, "spec.stages[1].audience".
        cohorts: every cohort that there is.
    """
    if audience is None:
        return
    before = len(findings.problems)
    check_condition(findings, audience, path)
    check_cohorts(findings, audience, path, cohorts)
    if len(findings.problems) == before and is_empty(audience, cohorts):
        hint = "name a cohort with members, or write a condition that can be met"
        findings.add(path, "empty_audience", "nobody can be in this audience", hint)


def is_empty(condition: Condition, cohorts: Mapping[str, Cohort]) -> bool:
    """Whether nobody can meet the condition, as far as structure tells: `any: []`, a cohort of nobody, and such."""
    narrowing = Narrowing(cohorts, cohorts)
    narrowing.refill()
    return narrowing.at_most(Sided(condition, Side.AFTER), Sided(NOBODY, Side.AFTER))
