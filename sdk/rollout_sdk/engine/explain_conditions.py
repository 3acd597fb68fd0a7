"""The steps of a condition: each node in the words of files, what it was answered, and what the context said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from rollout_sdk.engine.cohorts import contains
from rollout_sdk.engine.conditions import compile_condition, value_of
from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not, OnMissing
from rollout_sdk.engine.shown import described, shown
from rollout_sdk.engine.values import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_sdk.engine.compiled import CompiledCohort
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Cohort, Condition, KeySet

STEPS_MAX = 2_000
"""Beyond, conditions are answered but not taken apart: cohorts that name cohorts could otherwise fill a disk."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was asked.

    Attributes:
        depth: in the tree; 0 for a step of the decision order.
        result: "true", "false", "unknown", or "" where it was not reached.
    """

    depth: int
    label: str
    result: str
    detail: str


def result_word(answer: bool | None) -> str:  # noqa: FBT001 - one of Kleene's three
    """Return an answer as steps name it."""
    return "unknown" if answer is None else "true" if answer else "false"


class ConditionWalk:
    """Answers conditions node by node, and writes down a step for each."""

    def __init__(self, steps: list[Step], context: Context, cohorts: Mapping[str, CompiledCohort]) -> None:
        """Write into `steps`; name `cohorts` as they are in force for the flag."""
        self._steps = steps
        self._context = context
        self._cohorts = cohorts

    def walk(self, condition: Condition, depth: int) -> bool | None:
        """Answer a condition; its step comes before those of its parts."""
        at = len(self._steps)
        answer, label, detail = self._answer(condition, depth)
        if at < STEPS_MAX:
            self._steps.insert(at, Step(depth, label, result_word(answer), detail))
        return answer

    def _answer(self, condition: Condition, depth: int) -> tuple[bool | None, str, str]:
        match condition:
            case Leaf():
                answer = compile_condition(condition, {})(self._context)
                return answer, leaf_label(condition), self._leaf_detail(condition)
            case InCohort(cohort=key):
                answer, detail = self._member(self._cohorts[key], depth)
                return answer, f"cohort {key}", detail
            case All(conditions=parts):
                return self._until(parts, depth, decisive=False), "all", ""
            case Any(conditions=parts):
                return self._until(parts, depth, decisive=True), "any", ""
            case Not(condition=part):
                said = self.walk(part, depth + 1)
                return None if said is None else not said, "not", ""
            case _:
                assert_never(condition)

    def _until(self, parts: Sequence[Condition], depth: int, *, decisive: bool) -> bool | None:
        """Walk the parts up to the first decisive answer; those after it are not reached."""
        answer: bool | None = not decisive
        for part in parts:
            if answer is decisive:
                if len(self._steps) < STEPS_MAX:
                    self._steps.append(Step(depth + 1, _label(part), "", ""))
                continue
            said = self.walk(part, depth + 1)
            if said is decisive:
                answer = decisive
            elif said is None:
                answer = None
        return answer

    # ------------------------------------------------------------------------------------------------------- leaves

    def _leaf_detail(self, leaf: Leaf) -> str:
        value = value_of(leaf, self._context)
        subject = f"unit {leaf.subject}" if leaf.is_unit else leaf.subject
        plain = Leaf(leaf.subject, leaf.operator, leaf.operand, leaf.is_unit, leaf.ignore_case)
        if compile_condition(plain, {})(self._context) is not None:
            return f"{subject} is missing" if value is MISSING else f"{subject} is {shown(value)}"
        found = f"{subject} is missing" if value is MISSING else f"{subject} is {described(value)}: the wrong type"
        return found if leaf.on_missing is OnMissing.UNKNOWN else f"{found}; on_missing: {leaf.on_missing.value}"

    # ------------------------------------------------------------------------------------------------------ cohorts

    def _member(self, compiled: CompiledCohort, depth: int) -> tuple[bool | None, str]:
        cohort = compiled.cohort
        if len(self._steps) >= STEPS_MAX:
            return compiled.asked(self._context), ""
        excluded = self._listed(cohort, cohort.exclude)
        included = self._listed(cohort, cohort.include)
        if excluded is True:
            return False, "excluded by name"
        if included is not True and cohort.when is not None:
            met = ConditionWalk(self._steps, self._context, compiled.cohorts).walk(cohort.when, depth + 1)
            included = True if met is True else None if met is None or included is None else False
            detail = "by its condition"
        else:
            detail = "by name" if included is True else "not listed" if included is False else ""
        if cohort.unit not in self._context.units and (cohort.include.chunks or cohort.exclude.chunks):
            detail = f"the context has no unit of kind {shown(cohort.unit)}"
        if included is False:
            return False, detail
        return (None if included is None or excluded is None else True), detail

    def _listed(self, cohort: Cohort, keys: KeySet) -> bool | None:
        if not keys.chunks:
            return False
        key = self._context.units.get(cohort.unit)
        return None if key is None else contains(keys, key)


def leaf_label(leaf: Leaf) -> str:
    """Return a leaf in the words of files: `attribute country in ["KR", "TH"]`."""
    subject = "unit" if leaf.is_unit else "attribute"
    folded = " ignore_case" if leaf.ignore_case else ""
    return f"{subject} {leaf.subject} {leaf.operator} {shown(leaf.operand)}{folded}"


def _label(condition: Condition) -> str:
    match condition:
        case Leaf():
            return leaf_label(condition)
        case InCohort(cohort=key):
            return f"cohort {key}"
        case All():
            return "all"
        case Any():
            return "any"
        case Not():
            return "not"
        case _:
            assert_never(condition)
