"""What compiling makes of cohorts, rollouts and flags. Compared by identity: the same object says nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.conditions import Asked
    from rollout_sdk.engine.exposure import Stages
    from rollout_sdk.engine.model import Cohort, Flag, RolloutState
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
class CompiledRollout:
    """A rollout's state in force.

    Attributes:
        state: of one that is quarantined the last good one.
        depth, nodes: what one answer takes at most, `limits.EVALUATION_DEPTH` and `limits.EVALUATION_NODES`.
        cohorts: those that its conditions name.
    """

    state: RolloutState
    stages: Stages
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
        rollouts: those that its rules name.
        parents: the flags that it requires; None for one that has no rules in force.
        is_bare: its rules were never readable; it is killed, and that is all that is in force.
    """

    flag: Flag
    version: int
    killed: bool
    rules: FlagRules
    depth: int
    nodes: int
    cohorts: Mapping[str, CompiledCohort]
    rollouts: Mapping[str, CompiledRollout]
    parents: Mapping[str, CompiledFlag | None]
    is_bare: bool = False
