"""Why a decision is what it is: every step of the decision order, with what was asked and what the context said.

The walk is its own reading of the rules, apart from the closures of `rules`; that both always agree is a property test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import bucket
from rollout_sdk.engine.context import EMPTY, Context
from rollout_sdk.engine.decide import decision_of
from rollout_sdk.engine.explain_conditions import ConditionWalk, Step, result_word
from rollout_sdk.engine.explain_rollouts import RolloutWalk
from rollout_sdk.engine.model import ByRollout, Decision, Json, Origin, Reason, Rule, Serve, Split
from rollout_sdk.engine.outcomes import Outcome, copy_json
from rollout_sdk.engine.shown import shown
from rollout_sdk.engine.values import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.compiled import CompiledFlag


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and the steps that led to it, in order; steps that were not reached have an empty result."""

    decision: Decision
    steps: tuple[Step, ...]


def explain(
    compiled: CompiledRuleset, origin: Origin, flag: str, context: Context, default: Json = None
) -> Explanation:
    """Decide one flag for one context as `Decider.decide` does without a type, and say why.

    Total as `decide` is. Details hold what the context says: show them to whoever may see the context.
    """
    key = as_text(flag)
    found = compiled.flags.get(key) if key is not None else None
    if key is None or found is None:
        quarantined = compiled.quarantined.get(key) if key is not None else None
        reason = Reason.UNKNOWN_FLAG if quarantined is None else Reason.ERROR
        version = compiled.versions.get(key, 0) if key is not None else 0
        decision = Decision(key or "", default, reason, None, origin, None, version)
        detail = quarantined or "there is no such flag; the caller's default is served"
        return Explanation(decision, (Step(0, f"flag {shown(key or '')}", reason.value, detail),))
    asked: object = context  # by its type a context, but a caller may hand over anything
    walk = _Walk(found, asked if type(asked) is Context else EMPTY, compiled.held_back)
    outcome = walk.run(compiled.quarantined.get(key))
    value = copy_json(found.rules.values[outcome.variant])
    return Explanation(decision_of(found, outcome, value, origin), tuple(walk.steps))


class _Walk:
    """One reading of one flag's rules for one context."""

    def __init__(self, compiled: CompiledFlag, context: Context, held_back: Mapping[str, str]) -> None:
        self.steps: list[Step] = []
        self._held_back = held_back
        self._compiled = compiled
        self._flag = compiled.flag
        self._context = context
        self._conditions = ConditionWalk(self.steps, context, compiled.cohorts)
        self._answer: Outcome | None = None

    def run(self, quarantined: str | None) -> Outcome:
        """Fill the steps; return the outcome."""
        if quarantined is not None:
            self.steps.append(Step(0, "quarantined", "true", f"{quarantined}; the last good rules decide"))
        self._killed()
        self._never()
        self._requirements()
        self._targets()
        passed_split = self._rules()
        default = Outcome(self._flag.default, Reason.NO_UNIT if passed_split else Reason.DEFAULT)
        detail = f"serves {shown(default.variant)}"
        if passed_split and self._answer is None:
            detail += f"; a split matched, but the context has no unit of kind {shown(self._flag.unit)}"
        self._step("default", reached=True, detail=detail)
        return self._answer or self._settle(default)

    def _settle(self, outcome: Outcome) -> Outcome:
        if self._answer is None:
            self._answer = outcome
        return self._answer

    def _step(self, label: str, *, reached: bool | None, detail: str, depth: int = 0) -> None:
        """Add a step; one after the answer was found is not reached."""
        if self._answer is None:
            self.steps.append(Step(depth, label, result_word(reached), detail))
        else:
            self.steps.append(Step(depth, label, "", ""))

    def _killed(self) -> None:
        off = self._flag.off
        killed = self._compiled.killed
        self._step("killed", reached=killed, detail=f"serves off, {shown(off)}" if killed else "")
        if killed:
            self._settle(Outcome(off, Reason.KILLED))

    def _never(self) -> None:
        for index, condition in enumerate(self._flag.never):
            label = f"never[{index}]"
            if self._answer is not None:
                self._step(label, reached=None, detail="")
                continue
            at = len(self.steps)
            held = self._conditions.walk(condition, 1)
            detail = "" if held is False else f"serves off, {shown(self._flag.off)}"
            if held is None:
                detail += "; unknown counts as true in never"
            self.steps.insert(at, Step(0, label, result_word(held), detail))
            if held is not False:
                self._settle(Outcome(self._flag.off, Reason.NEVER))

    def _requirements(self) -> None:
        for requirement in self._flag.requires:
            label = f"requires {requirement.flag}"
            if self._answer is not None:
                self._step(label, reached=None, detail="")
                continue
            parent = self._compiled.parents.get(requirement.flag)
            wanted = " or ".join(shown(variant) for variant in requirement.variants)
            if parent is None:
                met, serves = False, "has no rules in force"
            else:
                outcome = parent.rules.outcomes[parent.rules.evaluate(self._context)]
                met, serves = outcome.variant in requirement.variants, f"serves {_described(outcome)}"
            self._step(label, reached=met, detail=f"{requirement.flag} {serves}; wanted: {wanted}")
            if not met:
                self._settle(Outcome(self._flag.off, Reason.REQUIREMENT))

    def _targets(self) -> None:
        if not self._flag.targets:
            return
        kind = self._flag.unit
        key = self._context.units.get(kind)
        hit = next((target for target in self._flag.targets if key is not None and key in target.units), None)
        unit = f"{kind} is {shown(key)}" if key is not None else f"the context has no unit of kind {shown(kind)}"
        if hit is None:
            self._step("targets", reached=False, detail=unit)
        else:
            self._step("targets", reached=True, detail=f"{unit}; serves {shown(hit.variant)}")
            self._settle(Outcome(hit.variant, Reason.TARGET))

    def _rules(self) -> bool:
        """Walk the rules; return whether a split passed a context on for want of a unit."""
        passed_split = False
        for rule in self._flag.rules:
            label = f"rule {rule.id}"
            if self._answer is not None:
                self._step(label, reached=None, detail="")
                continue
            at = len(self.steps)
            held = self._conditions.walk(rule.when, 1) if rule.when is not None else True
            outcome, detail = self._outcome(rule) if held is True else (None, "")
            self.steps.insert(at, Step(0, label, result_word(held), detail))
            if outcome is not None:
                self._settle(outcome)
            elif held is True:
                passed_split = True
        return passed_split

    def _outcome(self, rule: Rule) -> tuple[Outcome | None, str]:
        match rule.outcome:
            case Serve(variant=variant):
                return Outcome(variant, Reason.RULE, rule.id), f"serves {shown(variant)}"
            case Split() as split:
                return self._split(rule, split)
            case ByRollout(rollout=key):
                rollout = self._compiled.rollouts[key]
                walk = RolloutWalk(self.steps, self._context, rollout, self._held_back.get(key))
                return walk.run(self._flag, rule.id)

    def _split(self, rule: Rule, split: Split) -> tuple[Outcome | None, str]:
        kind = self._flag.unit
        unit = self._context.unit64(kind)
        if unit is None:
            return None, f"the context has no unit of kind {shown(kind)}, so the split passes it on"
        number = bucket(self._flag.salt, unit.decode())
        bounds = pairwise(accumulate((weight.share_ppm for weight in split.weights), initial=0))
        variant, low, high = next(
            (weight.variant, low, high)
            for weight, (low, high) in zip(split.weights, bounds, strict=True)
            if low <= number < high
        )
        key = shown(self._context.units[kind])
        detail = f"bucket {number} of {kind} {key} is in {low}..{high - 1}; serves {shown(variant)}"
        return Outcome(variant, Reason.SPLIT, rule.id), detail


def _described(outcome: Outcome) -> str:
    rule = f" {outcome.rule}" if outcome.rule is not None else ""
    return f"{shown(outcome.variant)} ({outcome.reason.value}{rule})"
