"""Rollouts and the audiences of their stages: by themselves, and against the flags and cohorts that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rollout_sdk.engine import limits
from rollout_sdk.engine.cohorts import is_subset
from rollout_sdk.engine.findings import child, show
from rollout_sdk.engine.model import LAW_1, PPM, All, Any, InCohort, Leaf, Not
from rollout_sdk.engine.names import key_fault, salt_fault, unit_kind_fault
from rollout_sdk.engine.shown import percent
from rollout_sdk.engine.validate_conditions import check_cohorts, check_condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort, Condition, Flag, RolloutState


def check_rollout(findings: Findings, state: RolloutState) -> None:
    """Note everything that is wrong with the rollout itself, the stages that its run has entered included.

    These have no place in a document, for the pipeline was copied when the run started: "run.stages.canary.audience".
    """
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
    findings.too_many("run.stages", len(state.reaches), limits.STAGES_PER_PIPELINE, "stages", "join some of them")
    for reach in state.reaches:
        path = child("run.stages", reach.stage)
        if reach.audience is not None:
            check_condition(findings, reach.audience, f"{path}.audience")
        if not 0 <= reach.share_ppm <= PPM:
            message = f"a share lies between 0% and 100%, this one is {percent(reach.share_ppm)}"
            findings.add(f"{path}.share", "bad_share", message, "give a share between them")


def check_names(
    findings: Findings, state: RolloutState, flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort]
) -> None:
    """Note everything that the rollout names and that does not exist: its flag, variants, and cohorts."""
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
        check_cohorts(findings, reach.audience, f"{child('run.stages', reach.stage)}.audience", cohorts)


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
    return _Possible(cohorts).excludes(condition, answer=True)


class _Possible:
    """Which answers conditions can give at all. What leaves can answer is not looked into."""

    def __init__(self, cohorts: Mapping[str, Cohort]) -> None:
        self._cohorts = cohorts
        self._known: dict[tuple[str, bool], bool] = {}

    def excludes(self, condition: Condition, *, answer: bool) -> bool:
        """Whether no context can get this answer."""
        match condition:
            case Leaf():
                return False
            case InCohort(cohort=key):
                if (key, answer) not in self._known:
                    self._known[key, answer] = False  # a cohort that names itself proves nothing
                    cohort = self._cohorts.get(key)
                    self._known[key, answer] = cohort is not None and self._cohort_excludes(cohort, answer=answer)
                return self._known[key, answer]
            case Not(condition=part):
                return self.excludes(part, answer=not answer)
            case All(conditions=parts):
                return (any if answer else all)(self.excludes(part, answer=answer) for part in parts)
            case Any(conditions=parts):
                return (all if answer else any)(self.excludes(part, answer=answer) for part in parts)
            case _:
                assert_never(condition)

    def _cohort_excludes(self, cohort: Cohort, *, answer: bool) -> bool:
        by_condition = cohort.when is not None and self.excludes(cohort.when, answer=answer)
        if not answer:
            return by_condition and not cohort.exclude.count
        return (cohort.when is None or by_condition) and is_subset(cohort.include, cohort.exclude)
