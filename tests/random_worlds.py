"""Random rulesets, random edits of them, and contexts that tell them apart; all from one seed.

Domains are small on purpose: conditions overlap, cohorts share members, and a few hundred contexts meet every corner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    InCohort,
    Leaf,
    Not,
    OnMissing,
    Operand,
    Outcome,
    Reach,
    Requirement,
    RolloutState,
    Rule,
    Ruleset,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)
from tests.small_world import ruleset

VARIANTS = ("off", "on", "blue", "red")
USERS = tuple(f"u{at}" for at in range(24))
TENANTS = ("t0", "t1", "t2")
COHORTS = ("c0", "c1", "c2", "c3")
FLAGS = ("f0", "f1", "f2", "f3")
COUNTRIES = ("KR", "kr", "KRX", "TH", "JP", "XKR")
TAGS = ("a", "b", "c", 1, True)
ADDRESSES = ("10.0.0.1", "10.0.1.1", "10.1.0.1", "2001:db8::1", "::ffff:10.0.0.1")
NETWORKS = ("10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/8", "2001:db8::/32", "10.0.0.1")
VERSIONS = ("1.2.3", "1.3.0", "2.0.0-rc.1", "2.0.0", "3")
RANGES = ("^1.2", "~1.2.3", ">=1.2.0 <2.0.0", ">=1.2.0", "1.x || 3", "<2.0.0")
MOMENTS = ("2026-01-01T00:00:00Z", "2026-01-01T09:00:00+09:00", "2026-06-01T00:00:00.5Z", "2027-01-01T00:00:00Z")


def rollouts_of(flag: str) -> tuple[str, str]:
    """The rollouts that move a flag, in every world."""
    return f"{flag}-x", f"{flag}-y"


class Dice:
    """Everything random about a world."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a test that repeats

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, values: tuple[Operand, ...], most: int = 3) -> tuple[Operand, ...]:
        return tuple(self.random.sample(values, self.random.randint(1, min(most, len(values)))))

    # ------------------------------------------------------------------------------------------------- conditions

    def leaf(self) -> Leaf:
        pick = self.random.choice
        leaf = pick((self._text_leaf, self._number_leaf, self._list_leaf, self._other_leaf))()
        if self.chance(0.25):
            leaf = replace(leaf, on_missing=pick(tuple(OnMissing)))
        return leaf

    def _text_leaf(self) -> Leaf:
        pick = self.random.choice
        folds = self.chance(0.2)
        if self.chance(0.2):
            return Leaf("user", "in", self.some(USERS), is_unit=True)
        operator = pick(("equals", "in", "starts_with", "ends_with", "contains", "regex"))
        if operator == "equals":
            return Leaf("country", operator, pick(COUNTRIES), ignore_case=folds)
        if operator == "regex":
            return Leaf("country", operator, pick(("^K", "R$", "KR|TH")), ignore_case=folds)
        parts = COUNTRIES if operator == "in" else ("K", "KR", "R", "T", "X")
        return Leaf("country", operator, self.some(parts), ignore_case=folds)

    def _number_leaf(self) -> Leaf:
        operator = self.random.choice(("<", "<=", ">", ">=", "between", "equals", "in", "modulo"))
        numbers: tuple[float, ...] = (0, 1, 2, 2.5, 3, 5)
        if operator == "between":
            return Leaf("n", operator, tuple(sorted(self.random.sample(numbers, 2))))
        if operator == "in":
            return Leaf("n", operator, self.some(numbers))
        if operator == "modulo":
            return Leaf("n", operator, (self.random.choice((2, 3)), 1))
        return Leaf("n", operator, self.random.choice(numbers))

    def _list_leaf(self) -> Leaf:
        operator = self.random.choice(("any_of", "all_of", "none_of", "size"))
        if operator == "size":
            return Leaf("tags", operator, self.random.choice((0, 1, 2, (0, 2), (1, 3), (1, 2))))
        return Leaf("tags", operator, self.some(TAGS if self.chance(0.3) else TAGS[:3]))

    def _other_leaf(self) -> Leaf:
        pick = self.random.choice
        return pick(
            (
                Leaf("version", "semver", pick(RANGES)),
                Leaf("at", pick(("before", "after")), pick(MOMENTS)),
                Leaf("ip", "cidr", self.some(NETWORKS)),
                Leaf("country", "exists", self.chance(0.5)),
                Leaf("n", "type", pick(("number", "string"))),
                Leaf("flagged", "equals", self.chance(0.5)),
            )
        )

    def condition(self, cohorts: tuple[str, ...], depth: int = 3) -> Condition:
        shape = self.random.random()
        if cohorts and shape < 0.2:
            return InCohort(self.random.choice(cohorts))
        if depth == 1 or shape < 0.55:
            return self.leaf()
        if shape < 0.65:
            return Not(self.condition(cohorts, depth - 1))
        parts = tuple(self.condition(cohorts, depth - 1) for _ in range(self.random.randint(1, 3)))
        return All(parts) if self.chance(0.5) else Any(parts)

    # --------------------------------------------------------------------------------------------------- resources

    def cohort(self, key: str) -> Cohort:
        inner = COHORTS[: COHORTS.index(key)]
        return Cohort(
            key,
            key_set(self.random.sample(USERS, self.random.randint(0, 8))),
            key_set(self.random.sample(USERS, self.random.randint(0, 4))),
            self.random.choice(("user", "user", "tenant")),
            self.condition(inner, 2) if self.chance(0.5) else None,
        )

    def outcome(self) -> Serve | Split:
        if self.chance(0.5):
            return Serve(self.random.choice(VARIANTS))
        variants = self.random.sample(VARIANTS, self.random.randint(1, 4))
        cuts = sorted(self.random.randint(0, 10) * PPM // 10 for _ in variants[1:])
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, PPM], strict=True)]
        return Split(tuple(map(Weight, variants, shares)))

    def rule(self, id_: str, flag: str) -> Rule:
        outcome = ByRollout(self.random.choice(rollouts_of(flag))) if self.chance(0.3) else self.outcome()
        return Rule(id_, outcome, self.condition(COHORTS) if self.chance(0.8) else None)

    def rollout(self, key: str, flag: str) -> RolloutState:
        before, after = self.random.sample(VARIANTS, 2)
        return RolloutState(
            key,
            flag,
            run=self.random.randint(1, 2),
            from_variant="off" if self.chance(0.3) and after != "off" else before,
            to_variant=after,
            salt=salt16(key),
            unit=self.random.choice(("user", "user", "tenant")),
            reaches=tuple(self.reach(f"s{at}") for at in range(self.random.randint(0, 3))),
            never=tuple(self.condition(COHORTS, 2) for _ in range(self.random.choice((0, 0, 1)))),
        )

    def reach(self, stage: str) -> Reach:
        share_ppm = self.random.randint(0, 10) * PPM // 10
        return Reach(stage, share_ppm, self.condition(COHORTS, 2) if self.chance(0.6) else None)

    def targets(self) -> tuple[Target, ...]:
        units = self.random.sample(USERS, 6)
        return tuple(Target(variant, (units.pop(), units.pop())) for variant in self.random.sample(VARIANTS, 2))

    def requirement(self, key: str) -> Requirement:
        among = VARIANTS if self.chance(0.1) else VARIANTS[1:]
        parent = self.random.choice(FLAGS[: FLAGS.index(key)])
        return Requirement(parent, tuple(self.random.sample(among, self.random.randint(1, 2))))

    def flag(self, key: str) -> Flag:
        return Flag(
            key=key,
            type=ValueType.STRING,
            variants=tuple(Variant(variant, variant.upper()) for variant in VARIANTS),
            off="off",
            default=self.random.choice(("off", "off", "on", "blue")),
            salt=salt16(key),
            never=tuple(self.condition(COHORTS, 2) for _ in range(self.random.choice((0, 0, 1, 2)))),
            requires=(self.requirement(key),) if key != FLAGS[0] and self.chance(0.5) else (),
            targets=self.targets() if self.chance(0.3) else (),
            rules=tuple(self.rule(f"r{at}", key) for at in range(self.random.randint(0, 3))),
        )

    def world(self) -> Ruleset:
        killed = [key for key in FLAGS if self.chance(0.05)]
        rollouts = (self.rollout(key, flag) for flag in FLAGS for key in rollouts_of(flag))
        return ruleset(*map(self.flag, FLAGS), *map(self.cohort, COHORTS), *rollouts, killed=killed)

    # ----------------------------------------------------------------------------------------------------- contexts

    def context(self) -> Context:
        pick = self.random.choice
        units = {"user": pick((*USERS, *(f"x{self.random.randint(0, 999)}" for _ in range(20))))}
        if self.chance(0.1):
            units = {}
        if self.chance(0.7):
            units["tenant"] = pick((*TENANTS, *USERS[:4]))
        domains: dict[str, tuple[object, ...]] = {
            "country": (*COUNTRIES, "", 7, None),
            "n": (0, 1, 2, 2.5, 3, 4, 5, -1, float("nan"), "1", True),
            "tags": ([], ["a"], ["a", "b"], ["a", "b", "c"], [1, "a"], [True], ["z"], [None, "a"], "a"),
            "version": (*VERSIONS, "1", "v1", 1),
            "at": (*MOMENTS, "2025-12-31T23:59:59Z", "soon", 5),
            "ip": (*ADDRESSES, "10.0.0.256", 10),
            "flagged": (True, False, 1, "true"),
        }
        return Context.of(units, {name: pick(values) for name, values in domains.items() if self.chance(0.85)})


# ------------------------------------------------------------------------------------------------------------- edits


def edited(dice: Dice, world: Ruleset) -> Ruleset:
    """Return the world after one to three edits of what it holds."""
    for _ in range(dice.random.choice((1, 1, 2, 3))):
        if dice.chance(0.2):
            key = dice.random.choice(COHORTS)
            world = replace(world, cohorts={**world.cohorts, key: _edited_cohort(dice, world.cohorts[key])})
        elif dice.chance(0.3):
            key = dice.random.choice(sorted(world.rollouts))
            world = replace(world, rollouts={**world.rollouts, key: _edited_rollout(dice, world.rollouts[key])})
        elif dice.chance(0.04):
            key = dice.random.choice(FLAGS)
            state = replace(world.states.get(key, ruleset(killed=[key]).states[key]), killed=dice.chance(0.7))
            world = replace(world, states={**world.states, key: state})
        else:
            key = dice.random.choice(sorted(world.flags))
            flag = dice.random.choice(FLAG_EDITS)(dice, world.flags[key])
            world = replace(world, flags={**world.flags, key: flag})
    return world


def _edited_cohort(dice: Dice, cohort: Cohort) -> Cohort:
    drawn = key_set(dice.random.sample(USERS, dice.random.randint(0, 8)))
    inner = COHORTS[: COHORTS.index(cohort.key)]
    match dice.random.randint(0, 5):
        case 0:
            return replace(cohort, exclude=drawn)
        case 1:
            return replace(cohort, include=drawn)
        case 2:
            return replace(cohort, exclude=key_set(USERS))
        case 3:
            return replace(cohort, include=key_set([]))
        case 4:
            return replace(cohort, unit=dice.random.choice(("user", "tenant")))
        case _:
            when = _edited_condition(dice, cohort.when, inner) if cohort.when else dice.condition(inner, 2)
            return replace(cohort, when=None if dice.chance(0.2) else when)


def _edited_rollout(dice: Dice, state: RolloutState) -> RolloutState:
    match dice.random.randint(0, 8):
        case 0:
            return replace(state, reaches=(), run=state.run + dice.random.randint(0, 1))
        case 1:
            return replace(state, reaches=(*state.reaches, dice.reach("next")))
        case 2:
            return replace(state, never=(*state.never, dice.condition(COHORTS, 2)))
        case 3 if state.never:
            edited = _edited_condition(dice, state.never[0], COHORTS)
            return replace(state, never=dice.random.choice(((), (edited, *state.never[1:]))))
        case 4:
            return dice.random.choice(
                (replace(state, salt=salt16("another")), replace(state, unit=dice.random.choice(("user", "tenant"))))
            )
        case 5:
            variant = dice.random.choice(VARIANTS)
            edits = (replace(state, from_variant=variant), replace(state, to_variant=variant))
            return dice.random.choice(edits)
        case _:
            pass
    if not state.reaches:
        return replace(state, reaches=(dice.reach("first"),))
    at = dice.random.randrange(len(state.reaches))
    reach = state.reaches[at]
    match dice.random.randint(0, 3):
        case 0:
            return replace(state, reaches=(*state.reaches[:at], *state.reaches[at + 1 :]))
        case 1 if reach.audience is not None:
            reach = replace(reach, audience=_edited_condition(dice, reach.audience, COHORTS))
        case 2:
            reach = replace(reach, audience=dice.condition(COHORTS, 2))
        case _:
            moved_ppm = dice.random.choice((-3, -2, -1, 1)) * PPM // 10
            reach = replace(reach, share_ppm=min(PPM, max(0, reach.share_ppm + moved_ppm)))
    return replace(state, reaches=(*state.reaches[:at], reach, *state.reaches[at + 1 :]))


def _edited_condition(dice: Dice, condition: Condition, cohorts: tuple[str, ...]) -> Condition:
    match condition:
        case All(parts) | Any(parts) if parts and dice.chance(0.75):
            at = dice.random.randrange(len(parts))
            rest = (*parts[:at], *parts[at + 1 :])
            choice = dice.random.random()
            if choice < 0.3:
                return replace(condition, conditions=rest or parts)
            if choice < 0.5:
                return replace(condition, conditions=(*parts, dice.condition(cohorts, 1)))
            if choice < 0.6:
                return replace(condition, conditions=tuple(reversed(parts)))
            inner = _edited_condition(dice, parts[at], cohorts)
            return replace(condition, conditions=(*parts[:at], inner, *parts[at + 1 :]))
        case Not(part) if dice.chance(0.7):
            return Not(_edited_condition(dice, part, cohorts))
        case Leaf() if dice.chance(0.6):
            return _edited_leaf(dice, condition)
    extra = dice.condition(cohorts, 1)
    return dice.random.choice((All((condition, extra)), Any((condition, extra)), Not(Not(condition)), extra))


def _edited_leaf(dice: Dice, leaf: Leaf) -> Leaf:
    operand = leaf.operand
    if dice.chance(0.15):
        return replace(leaf, on_missing=dice.random.choice(tuple(OnMissing)))
    if leaf.operator in {"in", "starts_with", "ends_with", "contains", "any_of", "all_of", "none_of", "cidr"}:
        if isinstance(operand, tuple) and len(operand) > 1 and dice.chance(0.5):
            return replace(leaf, operand=operand[:-1])
    elif leaf.operator in {"<", "<=", ">", ">="} and isinstance(operand, int | float) and dice.chance(0.7):
        sign = dice.random.choice(("<", "<=", ">", ">="))
        return replace(
            leaf, operator=sign if dice.chance(0.3) else leaf.operator, operand=operand + dice.random.choice((-1, 0, 1))
        )
    for _ in range(20):
        other = dice.leaf()
        if other.subject == leaf.subject:
            return other
    return leaf


def _edited_rule(dice: Dice, flag: Flag) -> Flag:
    if not flag.rules:
        return replace(flag, rules=(dice.rule("new", flag.key),))
    at = dice.random.randrange(len(flag.rules))
    rule = flag.rules[at]
    if dice.chance(0.5):
        when = dice.condition(COHORTS) if rule.when is None else _edited_condition(dice, rule.when, COHORTS)
        rule = replace(rule, when=when)
    else:
        rule = replace(rule, outcome=_edited_outcome(dice, flag.key, rule.outcome))
    return replace(flag, rules=(*flag.rules[:at], rule, *flag.rules[at + 1 :]))


def _edited_outcome(dice: Dice, flag: str, outcome: Outcome) -> Outcome:
    if isinstance(outcome, ByRollout):
        return dice.random.choice((dice.outcome(), Serve("off"), ByRollout(dice.random.choice(rollouts_of(flag)))))
    if isinstance(outcome, Serve):
        if dice.chance(0.5):
            return Serve("off")
        share_ppm = dice.random.randint(0, 10) * PPM // 10
        return Split(
            (Weight(outcome.variant, share_ppm), Weight("off" if outcome.variant != "off" else "on", PPM - share_ppm))
        )
    weights = list(outcome.weights)
    if dice.chance(0.2):
        return Split(tuple(reversed(weights)))
    if dice.chance(0.2):
        return Serve(dice.random.choice(weights).variant)
    first, second = dice.random.randrange(len(weights)), dice.random.randrange(len(weights))
    if first != second:
        moved_ppm = weights[first].share_ppm // dice.random.choice((1, 2, 3))
        weights[first] = replace(weights[first], share_ppm=weights[first].share_ppm - moved_ppm)
        weights[second] = replace(weights[second], share_ppm=weights[second].share_ppm + moved_ppm)
    return Split(tuple(weights))


def _removed_rule(dice: Dice, flag: Flag) -> Flag:
    at = dice.random.randrange(max(1, len(flag.rules)))
    return replace(flag, rules=(*flag.rules[:at], *flag.rules[at + 1 :]))


def _inserted_rule(dice: Dice, flag: Flag) -> Flag:
    at = dice.random.randint(0, len(flag.rules))
    rule = dice.rule("new", flag.key)
    if dice.chance(0.5):
        rule = replace(rule, outcome=Serve("off"))
    return replace(flag, rules=(*flag.rules[:at], rule, *flag.rules[at:]))


def _shuffled_rules(dice: Dice, flag: Flag) -> Flag:
    return replace(flag, rules=tuple(dice.random.sample(flag.rules, len(flag.rules))))


def _edited_never(dice: Dice, flag: Flag) -> Flag:
    if not flag.never or dice.chance(0.5):
        return replace(flag, never=(dice.condition(COHORTS, 2), *flag.never))
    if dice.chance(0.5):
        return replace(flag, never=(_edited_condition(dice, flag.never[0], COHORTS), *flag.never[1:]))
    return replace(flag, never=flag.never[1:] if dice.chance(0.5) else tuple(reversed(flag.never)))


def _edited_requires(dice: Dice, flag: Flag) -> Flag:
    if flag.key == FLAGS[0]:
        return flag
    if flag.requires and dice.chance(0.4):
        return replace(flag, requires=flag.requires[1:])
    added = (*flag.requires, dice.requirement(flag.key))
    return replace(flag, requires=added if dice.chance(0.6) else (dice.requirement(flag.key),))


def _edited_targets(dice: Dice, flag: Flag) -> Flag:
    if not flag.targets or dice.chance(0.2):
        return replace(flag, targets=dice.targets())
    if dice.chance(0.3):
        return replace(flag, targets=flag.targets[1:])
    return replace(flag, targets=tuple(replace(one, units=one.units[1:]) for one in flag.targets))


def _edited_rest(dice: Dice, flag: Flag) -> Flag:
    match dice.random.randint(0, 6):
        case 0:
            return replace(flag, default=dice.random.choice(VARIANTS))
        case 1:
            return replace(flag, salt=salt16("another"))
        case 2:
            return replace(flag, unit=dice.random.choice(("user", "tenant")))
        case 3:
            return replace(flag, off=dice.random.choice(VARIANTS))
        case 4:
            changed = dice.random.choice(VARIANTS)
            values = [Variant(one.key, "changed") if one.key == changed else one for one in flag.variants]
            return replace(flag, variants=tuple(values))
        case _:
            return replace(flag, default="off")


FLAG_EDITS: tuple[Callable[[Dice, Flag], Flag], ...] = (
    _edited_rule,
    _edited_rule,
    _edited_rule,
    _removed_rule,
    _inserted_rule,
    _shuffled_rules,
    _edited_never,
    _edited_requires,
    _edited_targets,
    _edited_rest,
)
