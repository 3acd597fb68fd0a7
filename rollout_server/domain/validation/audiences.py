"""Whom the stages of a pipeline reach, as far as it can be proven from what is written."""

from __future__ import annotations

from itertools import combinations, islice
from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import bucket, unit64
from rollout_sdk.engine.model import PPM, All, Any, InCohort, Leaf, Not, OnMissing
from rollout_sdk.engine.narrowing import EVERYBODY, Narrowing, Side, Sided
from rollout_sdk.engine.narrowing_leaves import leaves_exclude
from rollout_sdk.engine.sameness import same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.engine.model import Condition
    from rollout_server.domain.rollouts import Stage
    from rollout_server.domain.validation.world import World


COUNTED_MAX = 100_000
"""Units whose buckets are looked at one by one, for each stage that asks: about a tenth of a second."""

_CONJUNCTS_MAX = 64
"""Conditions of one audience that are compared with each other, every pair."""


class Audiences:
    """What is known of audiences in one environment. Every answer is a proof: False only says that none was found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._narrowing = Narrowing(world.hashed, world.hashed)
        self._members: dict[str, frozenset[str]] = {}

    def covers(self, wide: Condition | None, narrow: Condition | None) -> bool:
        """Whether everybody in `narrow` is proven to be in `wide`."""
        if wide is None or same(wide, narrow):
            return True
        self._narrowing.refill()
        return self._narrowing.at_most(Sided(narrow or EVERYBODY, Side.AFTER), Sided(wide, Side.AFTER))

    def has_control(self, stages: Sequence[Stage]) -> bool:
        """Whether, with these stages entered, somebody can be reached and not exposed."""
        everywhere = [stage.audience for stage in stages if stage.share_ppm >= PPM]
        return any(
            0 < stage.share_ppm < PPM and not any(self.covers(whole, stage.audience) for whole in everywhere)
            for stage in stages
        )

    def is_nobody(self, audience: Condition | None) -> bool:
        """Whether nobody can be in an audience, because of what it lists or because its parts exclude each other."""
        if isinstance(audience, Any):
            return all(self.is_nobody(part) for part in audience.conditions)
        if not isinstance(audience, All):
            return False
        parts = list(islice(_conjuncts(audience), _CONJUNCTS_MAX))
        if any(self.is_nobody(part) for part in parts):
            return True
        if any(self._listed(audience, kind) == frozenset() for kind in self._kinds(parts)):
            return True
        return any(self._exclude(one, other) for one, other in combinations(parts, 2))

    def _exclude(self, one: Condition, other: Condition) -> bool:
        if isinstance(one, Leaf) and isinstance(other, Leaf):
            return leaves_exclude(one, other)
        return any(isinstance(no, Not) and self.covers(no.condition, yes) for yes, no in ((one, other), (other, one)))

    def _kinds(self, parts: Sequence[Condition]) -> set[str]:
        """Kinds of unit that some of these list."""
        kinds = {part.subject for part in parts if isinstance(part, Leaf) and part.is_unit}
        named = (self._world.cohorts.get(part.cohort) for part in parts if isinstance(part, InCohort))
        return kinds | {cohort.unit for cohort in named if cohort is not None}

    def most_exposed(
        self, stages: Sequence[Stage], unit: str, salt: str, enough: int, never: Sequence[Condition] = ()
    ) -> int | None:
        """Return how many units these stages can expose; None where they list nobody of this kind, or leave it open.

        Args:
            stages: entered, in order.
            unit: kind whose units are counted.
            salt: of the rollout; without one every listed unit may be exposed.
            enough: counting stops here. Of more than `COUNTED_MAX` listed units, all count.
            never: whoever these list is not counted.
        """
        shares = self._shares(stages, unit, never)
        if shares is None:
            return None
        if not salt or len(shares) < enough or len(shares) > COUNTED_MAX:
            return len(shares)
        count = 0
        for key, share_ppm in shares.items():
            count += bucket(salt, unit64(key)) < share_ppm
            if count >= enough:
                break
        return count

    def is_split(self, stages: Sequence[Stage], unit: str, salt: str, never: Sequence[Condition]) -> bool:
        """Whether some listed unit may be exposed and some may be control; True where that is left open.

        Args:
            stages: entered, in order.
            unit: kind whose units are split.
            salt: of the rollout.
            never: whoever these list is in no arm.
        """
        shares = self._shares(stages, unit, never)
        if shares is None or len(shares) > COUNTED_MAX:
            return True
        arms = {bucket(salt, unit64(key)) < share_ppm for key, share_ppm in shares.items() if share_ppm < PPM}
        return len(arms) > 1

    def _shares(self, stages: Sequence[Stage], unit: str, never: Sequence[Condition]) -> dict[str, int] | None:
        """The largest share of each listed unit; None where somebody else may be reached too."""
        out: frozenset[str] = frozenset().union(*(self._surely(condition, unit) for condition in never))
        shares: dict[str, int] = {}
        for stage in stages:
            keys = self._listed(stage.audience, unit)
            if keys is None:
                return None
            for key in keys - out:
                shares[key] = max(shares.get(key, 0), stage.share_ppm)
        return shares

    def _listed(self, audience: Condition | None, unit: str) -> frozenset[str] | None:
        """Return units of this kind of which all of an audience's are some; None where it may hold others."""
        match audience:
            case InCohort(cohort=key):
                cohort = self._world.cohorts.get(key)
                is_closed = cohort is not None and cohort.when is None and cohort.unit == unit
                return self._members_of(key) if is_closed else None
            case Leaf(subject=subject, is_unit=True) if subject == unit:
                return _keys_of(audience)
            case Any(conditions=parts):
                found = [self._listed(part, unit) for part in parts]
                sure = [keys for keys in found if keys is not None]
                return frozenset().union(*sure) if parts and len(sure) == len(found) else None
            case All(conditions=parts):
                known = [keys for part in parts if (keys := self._listed(part, unit)) is not None]
                out = [self._surely(part.condition, unit) for part in parts if isinstance(part, Not)]
                return frozenset.intersection(*known).difference(*out) if known else None
            case _:
                return None

    def _surely(self, condition: Condition, unit: str) -> frozenset[str]:
        """Return units of this kind for which a condition is true whatever else the context holds."""
        match condition:
            case InCohort(cohort=key):
                cohort = self._world.cohorts.get(key)
                return self._members_of(key) if cohort is not None and cohort.unit == unit else frozenset()
            case Leaf(subject=subject, is_unit=True) if subject == unit:
                return _keys_of(condition) or frozenset()
            case _:
                return frozenset()

    def _members_of(self, key: str) -> frozenset[str]:
        if key not in self._members:
            cohort = self._world.cohorts[key]
            self._members[key] = frozenset(cohort.include) - frozenset(cohort.exclude)
        return self._members[key]


def _keys_of(leaf: Leaf) -> frozenset[str] | None:
    """The keys that a leaf over a unit lists; None where it compares in another way."""
    operands = leaf.operand if isinstance(leaf.operand, tuple) else (leaf.operand,)
    if leaf.operator not in {"equals", "in"} or leaf.ignore_case or leaf.on_missing is OnMissing.MATCH:
        return None
    return frozenset(key for key in operands if isinstance(key, str))


def _conjuncts(condition: Condition) -> Iterator[Condition]:
    """Yield what must all be true for a condition to be."""
    if isinstance(condition, All):
        for part in condition.conditions:
            yield from _conjuncts(part)
    else:
        yield condition
