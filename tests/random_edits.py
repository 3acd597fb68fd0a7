"""Random edits of random rulesets (`tests/random_worlds.py`), from the same dice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    Leaf,
    Not,
    OnMissing,
    Outcome,
    RolloutState,
    Ruleset,
    Serve,
    Split,
    Variant,
    Weight,
)
from tests.random_worlds import COHORTS, FLAGS, USERS, VARIANTS, Dice, rollouts_of
from tests.small_world import ruleset


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
