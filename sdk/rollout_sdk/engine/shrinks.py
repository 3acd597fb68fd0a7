"""Does a change shrink? Proven from structure alone, never by trying contexts.

A change shrinks when every context keeps its variant of every flag, or gets a safe one: the `from` of the rollout that
answered it before, or the flag's `off`. What is not proven is treated as growth; a proof is never a guess. Validated
rulesets only: nothing is promised of others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.dependencies import cohorts_of_rollout, rollouts_of_flag
from rollout_sdk.engine.descent import Descent
from rollout_sdk.engine.narrowing import Narrowing, Side
from rollout_sdk.engine.references import cohorts_in, cohorts_of, reached, referents_first, turned
from rollout_sdk.engine.sameness import same
from rollout_sdk.engine.steps import Guards, safe_variants, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from rollout_sdk.engine.model import Cohort, Flag, RolloutState, Ruleset
    from rollout_sdk.engine.steps import Step


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome.

    Attributes:
        proven: every context keeps its variants or gets safe ones.
        growth: a sentence for each flag of which that is not proven, by flag key.
    """

    proven: bool
    growth: tuple[str, ...]


def proof(before: Ruleset, after: Ruleset) -> Proof:
    """Try to prove that the change from `before` to `after` shrinks. Total; work per flag is bounded."""
    search = _Search(before, after)
    growth = dict(search.growth())
    return Proof(proven=not growth, growth=tuple(growth[key] for key in sorted(growth)))


class _Search:
    """One comparison of two rulesets; parents are judged before the flags that require them."""

    def __init__(self, before: Ruleset, after: Ruleset) -> None:
        self._before = before
        self._after = after
        self._narrowing = Narrowing(before.cohorts, after.cohorts)
        self._shrunk: dict[str, bool] = {}
        self._touched: set[str] = set()
        self._cohorts = _cohorts_touched(before.cohorts, after.cohorts)
        self._rollouts = _rollouts_touched(before.rollouts, after.rollouts, self._cohorts)
        self._compared: list[list[Step]] = []  # `Narrowing` knows conditions by identity, so none may go before it does
        self._guards = Guards(self._narrowing, self._newly_given)

    def growth(self) -> Iterator[tuple[str, str]]:
        """Yield (flag key, sentence) where shrinking is not proven."""
        edges: dict[str, set[str]] = {}
        for ruleset in (self._before, self._after):
            for key, flag in ruleset.flags.items():
                edges.setdefault(key, set()).update(item.flag for item in flag.requires)
        for key in referents_first(edges):
            why = self._judge(key)
            self._shrunk[key] = not why
            if why:
                yield key, f"flag/{key}: {why}"

    def _newly_given(self, key: str) -> AbstractSet[str] | None:
        """Return what a flag may give to contexts to which it did not: nothing if unchanged, safe ones if it shrank."""
        if not self._shrunk.get(key, False):
            return None
        return safe_variants(self._before.flags[key], self._before.rollouts) if key in self._touched else frozenset()

    def _judge(self, key: str) -> str:
        """Return why it is not proven, or nothing; note whether the flag may decide otherwise than before."""
        old, new = self._before.flags.get(key), self._after.flags.get(key)
        self._touched.add(key)
        if old is None:
            return "it is new, and callers got their own default until now"
        if new is None:
            return "it is deleted, and callers get their own default from now on"
        killed, kills = _is_killed(self._before, key), _is_killed(self._after, key)
        if killed == kills and same(old, new) and not self._depends_on_touched(old):
            self._touched.discard(key)
            return ""
        why = _values_moved(old, new)
        if why:
            return why
        self._narrowing.refill()
        old_steps = steps_of(old, Side.BEFORE, killed=killed, rollouts=self._before.rollouts)
        new_steps = steps_of(new, Side.AFTER, killed=kills, rollouts=self._after.rollouts)
        self._compared += (old_steps, new_steps)
        descent = Descent(old_steps, new_steps, new.off, self._guards)
        if descent.is_proven():
            return ""
        if killed and not kills:
            return "its kill is lifted"
        return "its rules are too large to compare" if self._narrowing.exhausted else descent.why

    def _depends_on_touched(self, flag: Flag) -> bool:
        """Whether a cohort, rollout or parent of it may say something else than before; one not judged yet may."""
        if any(item.flag in self._touched or item.flag not in self._shrunk for item in flag.requires):
            return True
        if self._rollouts and not self._rollouts.isdisjoint(rollouts_of_flag(flag)):
            return True
        return any(cohort in self._cohorts for cohort in cohorts_of(flag.never, flag.rules))


def _cohorts_touched(before: Mapping[str, Cohort], after: Mapping[str, Cohort]) -> set[str]:
    """Cohorts whose members may differ: they or a cohort they name changed."""
    keys = before.keys() | after.keys()
    changed = {key for key in keys if not same(before.get(key), after.get(key))}
    if not changed:
        return changed
    edges = {key: {*_names(before.get(key)), *_names(after.get(key))} for key in keys}
    return reached(changed, turned(edges))


def _rollouts_touched(
    before: Mapping[str, RolloutState], after: Mapping[str, RolloutState], cohorts: AbstractSet[str]
) -> set[str]:
    """Rollouts that may answer otherwise: their state or a cohort that it names changed."""
    return {
        key
        for key in before.keys() | after.keys()
        if not same(before.get(key), after.get(key))
        or (key in after and not cohorts.isdisjoint(cohorts_of_rollout(after[key])))
    }


def _names(cohort: Cohort | None) -> Iterator[str]:
    return cohorts_in(cohort.when if cohort else None)


def _is_killed(ruleset: Ruleset, key: str) -> bool:
    state = ruleset.states.get(key)
    return state is not None and state.killed


def _values_moved(old: Flag, new: Flag) -> str:
    """A variant is kept only if it still means the same value."""
    if old.type is not new.type:
        return f"its type changes from {old.type.value} to {new.type.value}"
    if old.off != new.off:
        return f'its off variant changes from "{old.off}" to "{new.off}"'
    values = {variant.key: variant.value for variant in old.variants}
    for variant in new.variants:
        if variant.key in values and not same(values[variant.key], variant.value):
            return f'the value of variant "{variant.key}" changes'
    return ""
