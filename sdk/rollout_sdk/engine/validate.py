"""Is this environment in order? Every problem at once, each with its place, and no exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.validate_flags import check_cohort, check_flag
from rollout_sdk.engine.validate_references import References

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.model import Cohort, Flag
    from rollout_sdk.engine.problems import Problem


def validate(flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort]) -> tuple[Problem, ...]:
    """Return every problem of an environment; total over anything that the model's types can hold.

    `flags` and `cohorts` are all of the environment, by key, as it would be after the change.
    """
    return validate_change(flags, cohorts, flags, cohorts)


def validate_change(
    flags: Mapping[str, Flag],
    cohorts: Mapping[str, Cohort],
    changed_flags: Iterable[str],
    changed_cohorts: Iterable[str],
) -> tuple[Problem, ...]:
    """Return every problem of what changed, and of the references of all that depend on it, at any remove.

    What was in order and does not depend on the change still is, so it is not looked into: a change of one flag among
    thousands costs a fraction of `validate`.

    `flags` and `cohorts` are all of the environment, by key, as it would be after the change; `changed_flags` and
    `changed_cohorts` are the keys that are new, edited or gone.
    """
    findings = Findings()
    touched_flags, touched_cohorts = set(changed_flags), set(changed_cohorts)
    for key in sorted(touched_flags & flags.keys()):
        findings.resource = f"flag/{key}"
        check_flag(findings, flags[key])
    for key in sorted(touched_cohorts & cohorts.keys()):
        findings.resource = f"cohort/{key}"
        check_cohort(findings, cohorts[key])
    references = References(flags, cohorts)
    references.check(findings, *references.dependents(touched_flags, touched_cohorts))
    return tuple(findings.problems)
