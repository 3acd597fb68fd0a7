"""Who moves: a population decided before and after a change, counted as it streams by.

Memory does not grow with the population: counts are kept for each pair of variants, moves are given to whoever asks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.model import DEFAULT_UNIT, Reason
from rollout_sdk.engine.sameness import same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.decide import Decider
    from rollout_sdk.engine.model import Decision, Ruleset


Variants: TypeAlias = "tuple[str | None, str | None]"
"""Before and after; None where callers get their own default."""

Reasons: TypeAlias = "tuple[Reason, Reason]"
"""Before and after."""


@dataclass(frozen=True, slots=True)
class Move:
    """One unit that gets another variant of one flag, or another value under the same variant.

    Attributes:
        unit_kind: the flag's own kind of unit.
        unit_key: empty for a context without that unit.
        variant_before, variant_after: None where callers get their own default.
        rule_before, rule_after: id of the rule that answered, if one did.
    """

    flag: str
    unit_kind: str
    unit_key: str
    variant_before: str | None
    variant_after: str | None
    reason_before: Reason
    reason_after: Reason
    rule_before: str | None = None
    rule_after: str | None = None


@dataclass(frozen=True, slots=True)
class VariantMove:
    """How many contexts went from one variant to another.

    Attributes:
        reasons: (reason before, reason after, count), most first.
    """

    variant_before: str | None
    variant_after: str | None
    count: int
    reasons: tuple[tuple[Reason, Reason, int], ...]


@dataclass(frozen=True, slots=True)
class FlagMoves:
    """One flag over a whole population.

    Attributes:
        moved: contexts that get another variant or another value.
        by_variant: the same by pair of variants, most first.
        never_count: contexts that the flag's `never` holds after the change.
    """

    flag: str
    moved: int
    by_variant: tuple[VariantMove, ...]
    never_count: int


class Tally:
    """Counts a population, context by context."""

    def __init__(self, before: Decider, after: Decider, units: Mapping[str, str]) -> None:
        """Compare two deciders.

        Args:
            before: decides as things stand.
            after: decides as they would be.
            units: the flags to look at, each with its kind of unit.
        """
        self._before = before
        self._after = after
        self._units = units
        self._moves: dict[str, defaultdict[Variants, Counter[Reasons]]] = {key: defaultdict(Counter) for key in units}
        self._never = Counter[str]()
        self.population = 0

    def add(self, context: Context) -> list[Move]:
        """Count one context; return its moves, at most one a flag."""
        self.population += 1
        moves: list[Move] = []
        for flag, unit in self._units.items():
            old, new = self._before.decide(flag, context), self._after.decide(flag, context)
            if new.reason is Reason.NEVER:
                self._never[flag] += 1
            if is_move(old, new):
                self._moves[flag][old.variant, new.variant][old.reason, new.reason] += 1
                key = context.units.get(unit, "")
                moves.append(
                    Move(
                        flag,
                        unit_kind=unit,
                        unit_key=key,
                        variant_before=old.variant,
                        variant_after=new.variant,
                        reason_before=old.reason,
                        reason_after=new.reason,
                        rule_before=old.rule,
                        rule_after=new.rule,
                    )
                )
        return moves

    def result(self) -> tuple[FlagMoves, ...]:
        """Return the counts so far, flags by key."""
        return tuple(
            FlagMoves(flag, sum(one.count for one in between), between, self._never[flag])
            for flag, between in ((flag, _counted(moves)) for flag, moves in sorted(self._moves.items()))
        )


def _counted(moves: Mapping[Variants, Counter[Reasons]]) -> tuple[VariantMove, ...]:
    found = [
        VariantMove(*variants, reasons.total(), tuple((*pair, count) for pair, count in reasons.most_common()))
        for variants, reasons in moves.items()
    ]
    return tuple(sorted(found, key=lambda one: one.count, reverse=True))


def is_move(before: Decision, after: Decision) -> bool:
    """Whether a caller sees a difference: another variant, another value, or no longer or newly the own default."""
    return before.variant != after.variant or not same(before.value, after.value)


def units_of(flags: Iterable[str], before: Ruleset, after: Ruleset) -> dict[str, str]:
    """Return the kind of unit of each flag, as it would be; of a deleted flag as it was."""
    found = {key: after.flags.get(key) or before.flags.get(key) for key in flags}
    return {key: flag.unit if flag is not None else DEFAULT_UNIT for key, flag in found.items()}
