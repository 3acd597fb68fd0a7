"""What a reader must be able to evaluate: the server warns before it publishes what a connected SDK cannot."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.dependencies import (
    cohorts_of,
    conditions_of,
    conditions_of_rollout,
    leaves_of,
    rollouts_of_flag,
)
from rollout_sdk.engine.model import LAW_1, ByRollout, OnMissing, Split, ValueType
from rollout_sdk.engine.operands import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollout_sdk.engine.model import Cohort, Condition, Flag, RolloutState

_ROLLOUT = "rollout:1"
_NO_ROLLOUTS: Mapping[str, RolloutState] = MappingProxyType({})

CAPABILITIES: frozenset[str] = frozenset(
    {
        *(f"op:{name}" for name in OPERATORS),
        *(f"type:{value_type.value}" for value_type in ValueType),
        *(f"on_missing:{each.value}" for each in OnMissing if each is not OnMissing.UNKNOWN),
        f"law:{LAW_1}",
        "ignore_case",
        _ROLLOUT,
    }
)
"""Everything that this release evaluates."""


def needed_by(
    flag: Flag, cohorts: Mapping[str, Cohort], rollouts: Mapping[str, RolloutState] = _NO_ROLLOUTS
) -> frozenset[str]:
    """Return what a reader must be able to evaluate for this flag, cohorts and rollouts that it names included.

    Flags that it requires are not included: each flag is asked for itself. What is not there needs nothing.
    """
    states = [rollouts[key] for key in rollouts_of_flag(flag) if key in rollouts]
    conditions = [*conditions_of(flag), *(each for state in states for each in conditions_of_rollout(state))]
    laws = (f"law:{state.law}" for state in states if state.reaches)
    return frozenset(_of_flag(flag)).union(laws, *(_of_condition(each) for each in _reached(conditions, cohorts)))


def _of_flag(flag: Flag) -> Iterator[str]:
    yield f"type:{flag.type.value}"
    for rule in flag.rules:
        if isinstance(rule.outcome, Split):
            yield f"law:{rule.outcome.law}"
        elif isinstance(rule.outcome, ByRollout):
            yield _ROLLOUT


def _of_condition(condition: Condition) -> Iterator[str]:
    for leaf in leaves_of(condition):
        yield f"op:{leaf.operator}"
        if leaf.ignore_case:
            yield "ignore_case"
        if leaf.on_missing is not OnMissing.UNKNOWN:
            yield f"on_missing:{leaf.on_missing.value}"


def _reached(conditions: Iterable[Condition], cohorts: Mapping[str, Cohort]) -> Iterator[Condition]:
    """Yield these conditions and those of every cohort below, each once, cycles or not."""
    seen: set[str] = set()
    waiting = list(conditions)
    while waiting:
        condition = waiting.pop()
        yield condition
        for key in cohorts_of(condition) - seen:
            seen.add(key)
            cohort = cohorts.get(key)
            if cohort is not None and cohort.when is not None:
                waiting.append(cohort.when)
