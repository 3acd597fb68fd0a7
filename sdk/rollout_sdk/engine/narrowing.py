"""Conditions of two rulesets compared: is one nowhere truer than the other?

The order is false < unknown < true, compared context by context. So one answer serves both kinds of reader: a rule,
which needs true, and a flag's `never`, for which unknown is enough. All answers are structural: True is a proof,
False says only that none was found. Negation is never expanded; a node is seen with its sign, so that `not` over `all`
is an `any` of negated parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine import limits
from rollout_sdk.engine.cohorts import is_subset
from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not
from rollout_sdk.engine.narrowing_leaves import extent_of, leaf_at_most

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Cohort, Condition
    from rollout_sdk.engine.narrowing_leaves import Extent

EVERYBODY: Condition = All(())
NOBODY: Condition = Any(())

BUDGET = 200_000
"""Comparisons one flag may cost. A limit on work, not on truth: beyond it nothing more is proven."""

BUDGET_OF_ALL = 20 * BUDGET
"""Comparisons all flags of one change may cost together."""

_DEPTH_MAX = limits.EVALUATION_DEPTH * limits.READERS_FACTOR
_OPERANDS_PER_STEP = 64


class Side(Enum):
    """Which ruleset a condition is read in: its cohorts may have changed."""

    BEFORE = "before"
    AFTER = "after"


class Sided(NamedTuple):
    """A condition, or its negation, as one of the two rulesets reads it."""

    condition: Condition
    side: Side
    negated: bool = False


@dataclass(frozen=True, slots=True)
class _Parts:
    """A node as conjunction or disjunction of parts."""

    parts: tuple[Sided, ...]
    conjunction: bool


class Narrowing:
    """Compares conditions of two rulesets; remembers what it found.

    Not for several threads. Everything compared must outlive it, since it is remembered by identity.
    """

    def __init__(self, before: Mapping[str, Cohort], after: Mapping[str, Cohort]) -> None:
        self._cohorts = {Side.BEFORE: before, Side.AFTER: after}
        self._known: dict[tuple[int, Side, bool, int, Side, bool], bool] = {}
        self._known_cohorts: dict[tuple[int, Side, int, Side], bool] = {}
        self._extents: dict[int, Extent | None] = {}
        self._total = BUDGET_OF_ALL
        self._left = 0

    def refill(self) -> None:
        """Allow `BUDGET` comparisons, as far as `BUDGET_OF_ALL` lasts; what is left of before is kept for later."""
        self._total += max(0, self._left)
        self._left = min(BUDGET, self._total)
        self._total -= self._left

    @property
    def exhausted(self) -> bool:
        """Whether the work was cut short since the last refill."""
        return self._left <= 0

    def at_most(self, one: Sided, other: Sided, depth: int = 0) -> bool:
        """Whether `one` is proven to be nowhere truer than `other`."""
        self._left -= 1
        key = (id(one.condition), one.side, one.negated, id(other.condition), other.side, other.negated)
        known = self._known.get(key)
        if known is not None:
            return known
        if self.exhausted or depth > _DEPTH_MAX:
            return False
        self._known[key] = False  # a cohort that reaches itself proves nothing
        self._known[key] = found = self._compare(one, other, depth + 1)
        return found

    def _compare(self, one: Sided, other: Sided, depth: int) -> bool:
        left, right = _parts(one), _parts(other)
        if left and right and left.conjunction == right.conjunction and len(left.parts) == len(right.parts):
            pairs = zip(left.parts, right.parts, strict=True)
            if all(self.at_most(narrow, wide, depth) for narrow, wide in pairs):
                return True
        if left and not left.conjunction:
            return all(self.at_most(part, other, depth) for part in left.parts)
        if right and right.conjunction:
            return all(self.at_most(one, part, depth) for part in right.parts)
        if left and any(self.at_most(part, other, depth) for part in left.parts):
            return True
        if right:
            return any(self.at_most(one, part, depth) for part in right.parts)
        return not left and self._literal_at_most(_plain(one), _plain(other), depth)

    def _literal_at_most(self, one: Sided, other: Sided, depth: int) -> bool:
        if one.negated != other.negated:
            return False
        if one.negated:
            one, other = other, one
        match one.condition, other.condition:
            case Leaf() as narrow, Leaf() as wide:
                return self._leaf_at_most(narrow, wide)
            case InCohort(cohort=narrow_key), InCohort(cohort=wide_key):
                narrow_cohort = self._cohorts[one.side].get(narrow_key)
                wide_cohort = self._cohorts[other.side].get(wide_key)
                if narrow_cohort is None or wide_cohort is None:
                    return False
                return self._cohort_at_most(narrow_cohort, one.side, wide_cohort, other.side, depth)
            case _:
                return False

    def _leaf_at_most(self, narrow: Leaf, wide: Leaf) -> bool:
        for leaf in (narrow, wide):
            if id(leaf) not in self._extents:
                self._extents[id(leaf)] = extent_of(leaf)
            self._left -= len(leaf.operand) // _OPERANDS_PER_STEP if isinstance(leaf.operand, tuple) else 0
        return leaf_at_most(narrow, wide, self._extents[id(narrow)], self._extents[id(wide)])

    def _cohort_at_most(self, one: Cohort, one_side: Side, other: Cohort, other_side: Side, depth: int) -> bool:
        """Membership is "not excluded, and listed or meeting the condition"; each piece is compared with its like.

        A list is unknown to a context without the unit unless it is empty, so an empty list is below every list.
        """
        key = (id(one), one_side, id(other), other_side)
        if key not in self._known_cohorts:
            same_unit = one.unit == other.unit
            self._known_cohorts[key] = (
                not one.include.count or (same_unit and is_subset(one.include, other.include))
            ) and (not other.exclude.count or (same_unit and is_subset(other.exclude, one.exclude)))
        return self._known_cohorts[key] and self.at_most(
            Sided(one.when if one.when is not None else NOBODY, one_side),
            Sided(other.when if other.when is not None else NOBODY, other_side),
            depth,
        )


def _plain(node: Sided) -> Sided:
    """Fold negations into the sign."""
    condition, side, negated = node
    while isinstance(condition, Not):
        condition, negated = condition.condition, not negated
    return Sided(condition, side, negated)


def _parts(node: Sided) -> _Parts | None:
    condition, side, negated = _plain(node)
    if not isinstance(condition, All | Any):
        return None
    parts = tuple(Sided(part, side, negated) for part in condition.conditions)
    return _Parts(parts, conjunction=isinstance(condition, All) != negated)
