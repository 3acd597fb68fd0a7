"""A flag as the list of steps it is: each takes some contexts and answers them, the rest pass on.

The order is the decision order (DESIGN section 5). The last step takes everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.model import PPM, Serve, Split
from rollout_sdk.engine.narrowing import EVERYBODY, Side, Sided

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_sdk.engine.model import Condition, Flag
    from rollout_sdk.engine.narrowing import Narrowing


@dataclass(frozen=True, slots=True)
class Met:
    """Takes contexts for which the condition is true and, where `unit` is named, that have this unit."""

    condition: Sided
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class NotRuledOut:
    """Takes contexts for which the condition is true or unknown."""

    condition: Sided


@dataclass(frozen=True, slots=True)
class Unmet:
    """Takes contexts for which the parent decides none of these variants."""

    parent: str
    variants: frozenset[str]
    side: Side


@dataclass(frozen=True, slots=True)
class Named:
    """Takes contexts whose unit is one of these."""

    unit: str
    keys: frozenset[str]


Guard: TypeAlias = "Met | NotRuledOut | Unmet | Named"


@dataclass(frozen=True, slots=True)
class Buckets:
    """An answer by bucket: (variant, first bucket past its interval), ascending to `PPM`."""

    salt: str
    unit: str
    law: int
    intervals: tuple[tuple[str, int], ...]


Answer: TypeAlias = "str | Buckets"
"""A variant for everybody taken, or a variant by bucket."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the decision list.

    Attributes:
        label: how a person would name it, 'rule "launch"'.
        answer: None where a split's weights make no whole: such a step is comparable with nothing.
    """

    label: str
    guard: Guard
    answer: Answer | None


def steps_of(flag: Flag, side: Side, *, killed: bool) -> list[Step]:
    """Return the flag's decision list, up to the first step that takes everybody."""
    everybody = Met(Sided(EVERYBODY, side))
    if killed:
        return [Step("the kill", everybody, flag.off)]
    steps = [Step(f"never[{at}]", NotRuledOut(Sided(item, side)), flag.off) for at, item in enumerate(flag.never)]
    steps += [
        Step(f"requires {item.flag}", Unmet(item.flag, frozenset(item.variants), side), flag.off)
        for item in flag.requires
    ]
    steps += [
        Step(f"targets.{item.variant}", Named(flag.unit, frozenset(item.units)), item.variant) for item in flag.targets
    ]
    for rule in flag.rules:
        condition: Condition = EVERYBODY if rule.when is None else rule.when
        unit = flag.unit if isinstance(rule.outcome, Split) else None
        answer = rule.outcome.variant if isinstance(rule.outcome, Serve) else _buckets(flag, rule.outcome)
        steps.append(Step(f'rule "{rule.id}"', Met(Sided(condition, side), unit), answer))
        if rule.when is None and unit is None:
            return steps
    return [*steps, Step("the default", everybody, flag.default)]


def _buckets(flag: Flag, split: Split) -> Buckets | None:
    intervals: list[tuple[str, int]] = []
    end = 0
    for weight in split.weights:
        if weight.share_ppm < 0:
            return None
        end += weight.share_ppm
        if weight.share_ppm:
            intervals.append((weight.variant, end))
    return Buckets(flag.salt, flag.unit, split.law, tuple(intervals)) if end == PPM else None


def is_safe(after: Answer | None, before: Answer | None, off: str) -> bool:
    """Whether everybody whom both answer gets, after, the variant of before or `off`."""
    if only_gives(after, off):
        return True
    if after is None or before is None:
        return False
    had, has = _variants(before), _variants(after)
    if len(had) == 1:
        return has <= had | {off}
    if isinstance(after, str) or isinstance(before, str):
        return False
    if (after.salt, after.unit, after.law) != (before.salt, before.unit, before.law):
        return False
    return all(new in (old, off) for new, old in _overlaps(after, before))


def only_gives(answer: Answer | None, variant: str) -> bool:
    """Whether nobody gets another variant from it."""
    return answer is not None and _variants(answer) <= {variant}


def _variants(answer: Answer) -> frozenset[str]:
    return frozenset({answer}) if isinstance(answer, str) else frozenset(variant for variant, _ in answer.intervals)


def _overlaps(one: Buckets, other: Buckets) -> set[tuple[str, str]]:
    """Pairs of variants that some bucket gets from the one and from the other."""
    pairs: set[tuple[str, str]] = set()
    ours, theirs = list(one.intervals), list(other.intervals)
    at = there = 0
    while at < len(ours) and there < len(theirs):
        pairs.add((ours[at][0], theirs[there][0]))
        end, other_end = ours[at][1], theirs[there][1]
        at += end <= other_end
        there += other_end <= end
    return pairs


class Guards:
    """Compares what steps take: is everybody whom one takes also taken by the other?"""

    def __init__(self, narrowing: Narrowing, shrunk: Callable[[str], bool], offs: Mapping[str, str]) -> None:
        """Compare by `narrowing`; `shrunk` says of a parent that its change is proven to shrink.

        Args:
            narrowing: compares the conditions.
            shrunk: of a flag's key; must answer False while it does not know.
            offs: off variant of each flag that exists in both rulesets and keeps it.
        """
        self._narrowing = narrowing
        self._shrunk = shrunk
        self._offs = offs

    def covers(self, wide: Guard, narrow: Guard) -> bool:
        """Whether `wide` is proven to take everybody whom `narrow` takes."""
        match narrow, wide:
            case _, (Met(unit=None) | NotRuledOut()) if self._takes_everybody(wide.condition):
                return True
            case Met(), Met():
                keeps_unit = wide.unit is None or wide.unit == narrow.unit
                return keeps_unit and self._narrowing.at_most(narrow.condition, wide.condition)
            case ((Met() | NotRuledOut()), NotRuledOut()):
                return self._narrowing.at_most(narrow.condition, wide.condition)
            case Unmet(), Unmet():
                return self._unmet_covers(wide, narrow)
            case Named(), Named():
                return narrow.unit == wide.unit and narrow.keys <= wide.keys
            case _:
                return False

    def disjoint(self, one: Guard, other: Guard) -> bool:
        """Whether nobody is taken by both. Known of units by name only: a unit is in one target at most."""
        return (
            isinstance(one, Named)
            and isinstance(other, Named)
            and one.unit == other.unit
            and one.keys.isdisjoint(other.keys)
        )

    def _takes_everybody(self, condition: Sided) -> bool:
        return condition.condition is EVERYBODY or self._narrowing.at_most(Sided(EVERYBODY, condition.side), condition)

    def _unmet_covers(self, wide: Unmet, narrow: Unmet) -> bool:
        """A parent that only shrank decides what it did, or off: no fewer contexts miss variants without off."""
        if wide.parent != narrow.parent or not wide.variants <= narrow.variants:
            return False
        if wide.side is narrow.side:
            return True
        off = self._offs.get(wide.parent)
        forward = narrow.side is Side.BEFORE
        return forward and off is not None and off not in wide.variants and self._shrunk(wide.parent)
