"""A flag as the list of steps it is: each takes some contexts and answers them, the rest pass on.

The order is the decision order (DESIGN section 5). The last step takes everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.dependencies import rollouts_of_flag
from rollout_sdk.engine.exposure import unexposed_variant
from rollout_sdk.engine.model import PPM, All, ByRollout, Not, Serve, Split
from rollout_sdk.engine.narrowing import EVERYBODY, Side, Sided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from rollout_sdk.engine.model import Condition, Flag, RolloutState, Rule
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
        answer: None where a split's weights make no whole, or a rollout has no state: comparable with nothing.
        safe: what may be given afterwards to whomever this step answered, besides `off`: a rollout's `from`.
    """

    label: str
    guard: Guard
    answer: Answer | None
    safe: str | None = None


def steps_of(flag: Flag, side: Side, *, killed: bool, rollouts: Mapping[str, RolloutState]) -> list[Step]:
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
        label, condition = f'rule "{rule.id}"', EVERYBODY if rule.when is None else rule.when
        match rule.outcome:
            case Serve(variant=variant):
                steps.append(Step(label, Met(Sided(condition, side)), variant))
            case Split() as split:
                steps.append(Step(label, Met(Sided(condition, side), flag.unit), _buckets(flag, split)))
            case ByRollout(rollout=key):
                steps += _steps_of_rollout(flag, rule, rollouts.get(key), side)
        if rule.when is None and not isinstance(rule.outcome, Split):
            return steps
    return [*steps, Step("the default", everybody, flag.default)]


def _steps_of_rollout(flag: Flag, rule: Rule, state: RolloutState | None, side: Side) -> list[Step]:
    """A step for each stage entered, the largest share first, and one for whomever none of them reaches.

    A context is in a stage where the rule, its audience and the negation of each `never` are true: the negation of an
    unknown is unknown, and keeps it out as the rollout does.
    """
    when: Condition = EVERYBODY if rule.when is None else rule.when
    label, rest = f'rule "{rule.id}"', Met(Sided(when, side))
    if state is None:
        return [Step(label, rest, None)]
    unexposed = unexposed_variant(flag, state)
    safe = tuple(Not(condition) for condition in state.never)
    steps: list[Step] = []
    for reach in sorted(state.reaches, key=lambda reach: reach.share_ppm, reverse=True):
        parts = [part for part in (rule.when, reach.audience) if part is not None]
        inside = All((*parts, *safe)) if parts or safe else EVERYBODY
        exposed = _intervals([(state.to_variant, reach.share_ppm), (unexposed, PPM - reach.share_ppm)])
        answer = None if exposed is None else Buckets(state.salt, state.unit, state.law, exposed)
        name = f'{label} in stage "{reach.stage}"'
        steps.append(Step(name, Met(Sided(inside, side), state.unit), answer, unexposed))
    return [*steps, Step(label, rest, unexposed, unexposed)]


def safe_variants(flag: Flag, rollouts: Mapping[str, RolloutState]) -> frozenset[str]:
    """Return what a flag may give to some context after a change that shrinks and did not give to it before."""
    states = (rollouts.get(key) for key in rollouts_of_flag(flag))
    return frozenset({flag.off, *(unexposed_variant(flag, state) for state in states if state is not None)})


def _buckets(flag: Flag, split: Split) -> Buckets | None:
    intervals = _intervals([(weight.variant, weight.share_ppm) for weight in split.weights])
    return Buckets(flag.salt, flag.unit, split.law, intervals) if intervals is not None else None


def _intervals(shares: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...] | None:
    """Return (variant, first bucket past its interval) for each share that is not empty; None if they make no whole."""
    intervals: list[tuple[str, int]] = []
    end = 0
    for variant, share_ppm in shares:
        if share_ppm < 0:
            return None
        end += share_ppm
        if share_ppm:
            intervals.append((variant, end))
    return tuple(intervals) if end == PPM else None


def is_safe(after: Answer | None, before: Answer | None, safe: AbstractSet[str]) -> bool:
    """Whether everybody whom both answer gets, after, the variant of before or a safe one."""
    if after is not None and _variants(after) <= safe:
        return True
    if after is None or before is None:
        return False
    had, has = _variants(before), _variants(after)
    if len(had) == 1:
        return has <= had | safe
    if isinstance(after, str) or isinstance(before, str):
        return False
    if (after.salt, after.unit, after.law) != (before.salt, before.unit, before.law):
        return False
    return all(new == old or new in safe for new, old in _overlaps(after, before))


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

    def __init__(self, narrowing: Narrowing, newly_given: Callable[[str], AbstractSet[str] | None]) -> None:
        """Compare by `narrowing`.

        Args:
            narrowing: compares the conditions.
            newly_given: of a flag's key, the variants that some context may get after the change and did not get
                before; None where that is not known.
        """
        self._narrowing = narrowing
        self._newly_given = newly_given

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
        """Who missed these variants before misses them after, unless the parent gives one of them to more contexts."""
        if wide.parent != narrow.parent or not wide.variants <= narrow.variants:
            return False
        if wide.side is narrow.side:
            return True
        given = self._newly_given(wide.parent) if narrow.side is Side.BEFORE else None
        return given is not None and given.isdisjoint(wide.variants)
