"""What compiling makes of cohorts and flags. Compared by identity: the same object means that nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.conditions import Asked
    from rollout_sdk.engine.model import Cohort, Flag
    from rollout_sdk.engine.rules import FlagRules


@dataclass(frozen=True, slots=True, eq=False)
class CompiledCohort:
    """A cohort in force.

    Attributes:
        depth, nodes: what one answer takes at most, `limits.EVALUATION_DEPTH` and `limits.EVALUATION_NODES`.
        cohorts: those that its condition names.
    """

    cohort: Cohort
    asked: Asked
    depth: int
    nodes: int
    cohorts: Mapping[str, CompiledCohort]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledFlag:
    """A flag in force.

    Attributes:
        flag: the rules in force; of a quarantined flag the last good ones.
        version: revision that last changed these rules.
        depth, nodes: what one answer takes at most, `limits.EVALUATION_DEPTH` and `limits.EVALUATION_NODES`.
        cohorts: those that its conditions name.
        parents: the flags that it requires; None for one that has no rules in force.
    """

    flag: Flag
    version: int
    killed: bool
    rules: FlagRules
    depth: int
    nodes: int
    cohorts: Mapping[str, CompiledCohort]
    parents: Mapping[str, CompiledFlag | None]
