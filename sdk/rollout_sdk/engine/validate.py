"""Is this environment in order? Every problem at once, each with its place, and no exception."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.validate_flags import check_cohort, check_flag
from rollout_sdk.engine.validate_references import References
from rollout_sdk.engine.validate_rollouts import check_rollout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.model import Cohort, Flag, RolloutState
    from rollout_sdk.engine.problems import Problem

_NO_ROLLOUTS: Mapping[str, RolloutState] = MappingProxyType({})


def validate(
    flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort], rollouts: Mapping[str, RolloutState] = _NO_ROLLOUTS
) -> tuple[Problem, ...]:
    """Return every problem of an environment; total over anything that the model's types can hold.

    `flags`, `cohorts` and `rollouts` are all of the environment, by key, as it would be after the change.
    """
    return validate_change(flags, cohorts, flags, cohorts, rollouts, rollouts)


def validate_change(
    flags: Mapping[str, Flag],
    cohorts: Mapping[str, Cohort],
    changed_flags: Iterable[str],
    changed_cohorts: Iterable[str],
    rollouts: Mapping[str, RolloutState] = _NO_ROLLOUTS,
    changed_rollouts: Iterable[str] = (),
) -> tuple[Problem, ...]:
    """Return every problem of what changed, and of the references of all that depend on it, at any remove.

    What was in order and does not depend on the change still is, so it is not looked into: a change of one flag among
    thousands costs a fraction of `validate`.

    `flags`, `cohorts` and `rollouts` are all of the environment, by key, as it would be after the change; the changed
    ones are the keys that are new, edited or gone. Stages that a run has not entered are not seen here: whoever reads
    pipelines asks `validate_rollouts.check_audience`.
    """
    findings = Findings()
    touched_flags, touched_cohorts, touched_rollouts = set(changed_flags), set(changed_cohorts), set(changed_rollouts)
    for key in sorted(touched_flags & flags.keys()):
        findings.resource = f"flag/{key}"
        check_flag(findings, flags[key])
    for key in sorted(touched_cohorts & cohorts.keys()):
        findings.resource = f"cohort/{key}"
        check_cohort(findings, cohorts[key])
    for key in sorted(touched_rollouts & rollouts.keys()):
        findings.resource = f"rollout/{key}"
        check_rollout(findings, rollouts[key])
    references = References(flags, cohorts, rollouts)
    references.check(findings, *references.dependents(touched_flags, touched_cohorts, touched_rollouts))
    return tuple(findings.problems)
