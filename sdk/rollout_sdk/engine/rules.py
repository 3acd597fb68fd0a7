"""One flag becomes one closure from a context to the number of an outcome, in the decision order of DESIGN section 5.

Every step of that order wraps the one after it, and only the steps that a flag has are there: a flag without rules is a
constant, a percentage is one hash and one comparison. Once a flag is asked for, `generated` takes the place of the
closures of its rules, if they have conditions; in the compiled engine `rows` does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast, final

from mmh3 import mmh3_32_uintdigest

from rollout_sdk.engine import limits
from rollout_sdk.engine.bucketing import SALT_LENGTH, hash_bound, split_head
from rollout_sdk.engine.conditions import Asked, Uncompilable, compile_condition
from rollout_sdk.engine.exposure import Everyone, Exposing, Stages, compile_exposure
from rollout_sdk.engine.generated import Ready, generate
from rollout_sdk.engine.model import LAW_1, PPM, ByRollout, Flag, Reason, Rule, Serve, Split
from rollout_sdk.engine.outcomes import Outcome, Outcomes, variant_values
from rollout_sdk.engine.rows import IS_NATIVE, rows

if TYPE_CHECKING:
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Json

Evaluate: TypeAlias = "Callable[[Context], int]"
"""A compiled flag: the number of its outcome for a context."""

Splitter: TypeAlias = "Callable[[Context], int | None]"
"""A compiled split or rollout; None where the context lacks the unit and the next rule is asked."""

_NO_ROLLOUTS: Mapping[str, Stages] = MappingProxyType({})


class Parent(NamedTuple):
    """A required flag as it is in force."""

    evaluate: Evaluate
    outcomes: tuple[Outcome, ...]


@final
class FlagRules:
    """A compiled flag. Compared by identity.

    Attributes:
        evaluate: closures, or the quicker function after `quicken`; they answer alike.
        everyone: says the same where the flag is nothing but a rollout of everybody; else None.
    """

    __slots__ = ("_quicker", "evaluate", "everyone", "outcomes", "values")

    def __init__(
        self,
        values: Mapping[str, Json],
        outcomes: tuple[Outcome, ...],
        evaluate: Evaluate,
        quicker: Callable[[], Evaluate] | None = None,
        everyone: Everyone | None = None,
    ) -> None:
        """Hold what was compiled.

        Args:
            values: of the variants, by key.
            outcomes: by number.
            evaluate: gives a number.
            quicker: makes something that gives the same numbers sooner; None where nothing does.
            everyone: see above.
        """
        self.values = values
        self.outcomes = outcomes
        self.evaluate = evaluate
        self.everyone = everyone
        self._quicker = quicker

    def quicken(self) -> None:
        """Somebody asks for this flag: make its decisions quick. Costs some 0.1 ms once, and nothing after that.

        Two threads may come here at once; what they make answers alike.
        """
        quicker, self._quicker = self._quicker, None
        if quicker is not None:
            with suppress(Exception):  # the closures answer as well
                self.evaluate = quicker()


def compile_rules(
    flag: Flag,
    *,
    killed: bool,
    cohorts: Mapping[str, Asked],
    parents: Mapping[str, Parent],
    rollouts: Mapping[str, Stages] = _NO_ROLLOUTS,
) -> FlagRules:
    """Compile one flag, whole: a killed flag's rules too, so that what is wrong with them is known.

    Args:
        flag: read or made by anybody; nothing is assumed of it.
        killed: the flag serves off to everybody.
        cohorts: membership of every cohort in force.
        parents: every flag in force; a required flag that is not here is a requirement unmet.
        rollouts: every rollout that a rule names, each fit for the flag (`exposure.misfit`).

    Raises:
        Uncompilable: the message says what is wrong.
    """
    _check_limits(flag)
    values = variant_values(flag)
    outcomes = Outcomes(values)
    off = outcomes.number(flag.off, Reason.KILLED)  # named in any case: somebody may have to kill the flag tonight
    default = outcomes.number(flag.default, Reason.DEFAULT)
    no_unit = outcomes.number(flag.default, Reason.NO_UNIT)
    is_alone = len(flag.rules) == 1 and flag.rules[0].when is None
    passed_over = no_unit if is_alone else None
    rules = [_rule(flag, rule, outcomes, cohorts, rollouts, passed_over) for rule in flag.rules]

    steps = _Steps(flag, outcomes, cohorts, parents)
    plain = _closures(rules, default, no_unit)
    evaluate = steps.before(plain)
    if killed:
        return FlagRules(values, outcomes.table(), _always(off))
    has_conditions = any(rule.when is not None for rule in rules)
    everyone = None
    if len(rules) == 1 and not has_conditions and evaluate is plain and isinstance(flag.rules[0].outcome, ByRollout):
        everyone = _exposing(flag, flag.rules[0], flag.rules[0].outcome, outcomes, rollouts).everyone
    quicker = _Quicker(steps, rules, plain, default, no_unit) if has_conditions else None
    return FlagRules(values, outcomes.table(), evaluate, quicker, everyone)


def compile_killed(flag: Flag) -> FlagRules:
    """Compile what a killed flag needs and nothing else: it is off even where its rules cannot be read.

    Raises:
        Uncompilable: not even the off variant can be read.
    """
    values = variant_values(flag)
    outcomes = Outcomes(values)
    evaluate = _always(outcomes.number(flag.off, Reason.KILLED))
    return FlagRules(values, outcomes.table(), evaluate)


def _check_limits(flag: Flag) -> None:
    for what, count, most in (
        ("rules", len(flag.rules), limits.RULES_PER_FLAG),
        ("requirements", len(flag.requires), limits.REQUIRES_PER_FLAG),
        ("conditions in never", len(flag.never), limits.NEVER_PER_FLAG),
        ("targeted units", sum(len(target.units) for target in flag.targets), limits.TARGET_UNITS_PER_FLAG),
    ):
        if count > most * limits.READERS_FACTOR:
            raise Uncompilable(f"the flag has {count} {what}, more than {most * limits.READERS_FACTOR}")
    if len(flag.salt) != SALT_LENGTH or not flag.salt.isascii():
        raise Uncompilable(f"the salt must have {SALT_LENGTH} ASCII characters")


def _always(number: int) -> Evaluate:
    return lambda _context: number


@final
class _Steps:
    """The steps before a flag's rules. An object, for flags keep it until they are asked for: closures take more."""

    __slots__ = ("cohorts", "flag", "outcomes", "parents")

    def __init__(
        self, flag: Flag, outcomes: Outcomes, cohorts: Mapping[str, Asked], parents: Mapping[str, Parent]
    ) -> None:
        self.flag = flag
        self.outcomes = outcomes
        self.cohorts = cohorts
        self.parents = parents

    def before(self, evaluate: Evaluate) -> Evaluate:
        """Return the flag, from what decides by its rules."""
        evaluate = _with_targets(self.flag, self.outcomes, evaluate)
        evaluate = _with_requirements(self.flag, self.outcomes, self.parents, evaluate)
        return _with_never(self.flag, self.outcomes, self.cohorts, evaluate)


@final
class _Quicker:
    """Makes what answers as a flag's closures do, and sooner."""

    __slots__ = ("default", "no_unit", "plain", "rules", "steps")

    def __init__(self, steps: _Steps, rules: list[Ready], plain: Evaluate, default: int, no_unit: int) -> None:
        self.steps = steps
        self.rules = rules
        self.plain = plain
        self.default = default
        self.no_unit = no_unit

    def __call__(self) -> Evaluate:
        quick = rows if IS_NATIVE else generate
        return self.steps.before(quick(self.rules, self.steps.cohorts, self.default, self.no_unit) or self.plain)


# -------------------------------------------------------------------------------------------- before the rules


def _with_never(flag: Flag, outcomes: Outcomes, cohorts: Mapping[str, Asked], rest: Evaluate) -> Evaluate:
    if not flag.never:
        return rest
    never = tuple(compile_condition(condition, cohorts) for condition in flag.never)
    off = outcomes.number(flag.off, Reason.NEVER)

    def evaluate(context: Context) -> int:
        for asked in never:
            if asked(context) is not False:  # unknown matches: silence exposes nobody
                return off
        return rest(context)

    return evaluate


def _with_requirements(flag: Flag, outcomes: Outcomes, parents: Mapping[str, Parent], rest: Evaluate) -> Evaluate:
    if not flag.requires:
        return rest
    off = outcomes.number(flag.off, Reason.REQUIREMENT)
    required: list[tuple[Evaluate, frozenset[int]]] = []
    for requirement in flag.requires:
        parent = parents.get(requirement.flag)
        if parent is None:
            return _always(off)
        good = frozenset(
            number for number, outcome in enumerate(parent.outcomes) if outcome.variant in requirement.variants
        )
        required.append((parent.evaluate, good))

    def evaluate(context: Context) -> int:
        for parent_evaluate, good in required:
            if parent_evaluate(context) not in good:
                return off
        return rest(context)

    return evaluate


def _with_targets(flag: Flag, outcomes: Outcomes, rest: Evaluate) -> Evaluate:
    by_unit: dict[str, int] = {}
    for target in flag.targets:
        number = outcomes.number(target.variant, Reason.TARGET)
        for unit in target.units:
            by_unit.setdefault(unit, number)
    if not by_unit:
        return rest
    kind = flag.unit

    def evaluate(context: Context) -> int:
        key = context.units.get(kind)
        if key is not None:
            number = by_unit.get(key)
            if number is not None:
                return number
        return rest(context)

    return evaluate


# -------------------------------------------------------------------------------------------------------- rules


def _closures(rules: list[Ready], default: int, no_unit: int) -> Evaluate:
    if not rules:
        return _always(default)
    if len(rules) == 1 and rules[0].asked is None:
        # A rollout answers everyone who reaches it, and a split that is alone has nobody to pass on to.
        splitter = cast("Evaluate | None", rules[0].splitter)
        return _always(rules[0].number) if splitter is None else splitter
    if any(rule.asked is None or rule.splitter is not None for rule in rules):
        return _any_rules(tuple((rule.asked, rule.number, rule.splitter) for rule in rules), default, no_unit)
    return _served_rules(tuple((rule.asked, rule.number) for rule in rules if rule.asked is not None), default)


def _rule(
    flag: Flag,
    rule: Rule,
    outcomes: Outcomes,
    cohorts: Mapping[str, Asked],
    rollouts: Mapping[str, Stages],
    passed_over: int | None,
) -> Ready:
    try:
        asked = None if rule.when is None else compile_condition(rule.when, cohorts)
    except Uncompilable as error:
        raise Uncompilable(f"rule {rule.id!r}: {error}") from None
    match rule.outcome:
        case Serve(variant=variant):
            return Ready(rule.when, asked, outcomes.number(variant, Reason.RULE, rule.id), None)
        case Split() as split:
            return Ready(rule.when, asked, -1, _splitter(flag, rule.id, split, outcomes, passed_over))
        case ByRollout() as by:
            return Ready(rule.when, asked, -1, _exposing(flag, rule, by, outcomes, rollouts).evaluate)


def _exposing(flag: Flag, rule: Rule, by: ByRollout, outcomes: Outcomes, rollouts: Mapping[str, Stages]) -> Exposing:
    found = rollouts.get(by.rollout)
    if found is None:
        raise Uncompilable(f"rule {rule.id!r}: there is no rollout {by.rollout!r} in force")
    return compile_exposure(flag, rule.id, found, outcomes)


def _served_rules(rules: tuple[tuple[Asked, int], ...], default: int) -> Evaluate:
    def evaluate(context: Context) -> int:
        for asked, number in rules:
            if asked(context):
                return number
        return default

    return evaluate


def _any_rules(rules: tuple[tuple[Asked | None, int, Splitter | None], ...], default: int, no_unit: int) -> Evaluate:
    def evaluate(context: Context) -> int:
        otherwise = default
        for asked, number, splitter in rules:
            if asked is None or asked(context):
                if splitter is None:
                    return number
                split = splitter(context)
                if split is not None:
                    return split
                otherwise = no_unit
        return otherwise

    return evaluate


def _splitter(flag: Flag, rule: str, split: Split, outcomes: Outcomes, passed_over: int | None) -> Splitter:
    if split.law != LAW_1:
        raise Uncompilable(f"rule {rule!r} splits by law {split.law}, which this version does not know")
    shares = [weight.share_ppm for weight in split.weights]
    if any(not 0 <= share <= PPM for share in shares) or sum(shares) != PPM:
        raise Uncompilable(f"rule {rule!r}: the weights add up to {sum(shares)} ppm, not {PPM}")
    numbers = tuple(outcomes.number(weight.variant, Reason.SPLIT, rule) for weight in split.weights)
    bounds = [hash_bound(share) for share in accumulate(shares)]
    kind, head, hash32 = flag.unit, split_head(flag.salt), mmh3_32_uintdigest
    if len(numbers) == len(("first", "second")):
        return _of_two(kind, head, bounds[0], numbers, passed_over)

    def of_many(context: Context) -> int | None:
        unit = context.unit64s.get(kind)
        if unit is None:
            unit = context.unit64(kind)
            if unit is None:
                return passed_over
        return numbers[bisect_right(bounds, hash32(head + unit))]

    return of_many


def _of_two(kind: str, head: bytes, bound: int, numbers: tuple[int, ...], passed_over: int | None) -> Splitter:
    """Return a split in two. Most are, so what it needs stands where it takes least memory: in defaults, not cells."""
    first, second = numbers

    def of_two(
        context: Context,
        kind: str = kind,
        head: bytes = head,
        bound: int = bound,
        first: int = first,
        second: int = second,
    ) -> int | None:
        unit = context.unit64s.get(kind)
        if unit is None:
            unit = context.unit64(kind)
            if unit is None:
                return passed_over
        return first if mmh3_32_uintdigest(head + unit) < bound else second

    return of_two
