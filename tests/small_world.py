"""Small rulesets, built in a line, for tests of the engine and of plans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any as Anything

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.model import (
    DEFAULT_UNIT,
    PPM,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    FlagState,
    Leaf,
    Operand,
    Position,
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

START = Position("epoch-1", 1)


def leaf(subject: str, operator: str, operand: Operand, **more: Anything) -> Leaf:
    return Leaf(subject, operator, operand, **more)


def serve(variant: str, when: Condition | None = None, id_: str = "r1") -> Rule:
    return Rule(id_, Serve(variant), when)


def split(shares: dict[str, int], when: Condition | None = None, id_: str = "r1") -> Rule:
    """Shares in percent; the last one may be left out and then is what remains for "off"."""
    rest = 100 - sum(shares.values())
    whole = {**shares, "off": rest} if rest else shares
    return Rule(id_, Split(tuple(Weight(key, share * PPM // 100) for key, share in whole.items())), when)


def target(variant: str, *units: str) -> Target:
    return Target(variant, units)


def requires(flag_key: str, *variants: str) -> Requirement:
    return Requirement(flag_key, variants or ("on",))


def flag(key: str = "checkout", *rules: Rule, **more: Anything) -> Flag:
    """A flag with the variants on, off, blue; off unless a rule says otherwise."""
    values: dict[str, Anything] = {
        "key": key,
        "type": ValueType.STRING,
        "variants": (Variant("on", "on"), Variant("off", "off"), Variant("blue", "blue")),
        "off": "off",
        "default": "off",
        "salt": salt16(key),
        "rules": rules,
    }
    return Flag(**{**values, **more})


def cohort(
    key: str,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    unit: str = DEFAULT_UNIT,
    when: Condition | None = None,
) -> Cohort:
    return Cohort(key, key_set(include), key_set(exclude), unit, when)


def by_rollout(key: str = "x", when: Condition | None = None, id_: str = "launch") -> Rule:
    return Rule(id_, ByRollout(key), when)


def rollout(key: str = "x", flag_key: str = "checkout", *reaches: Reach, **more: Anything) -> RolloutState:
    """A rollout from off to on in these stages; without any it exposes nobody."""
    values: dict[str, Anything] = {"from_variant": "off", "to_variant": "on", "salt": salt16(key), "reaches": reaches}
    return RolloutState(key, flag_key, 1 if reaches else 0, **{**values, **more})


def ruleset(*things: Flag | Cohort | RolloutState, killed: Iterable[str] = ()) -> Ruleset:
    flags = {thing.key: thing for thing in things if isinstance(thing, Flag)}
    cohorts = {thing.key: thing for thing in things if isinstance(thing, Cohort)}
    rollouts = {thing.rollout: thing for thing in things if isinstance(thing, RolloutState)}
    states = {key: FlagState(key, killed=True) for key in killed}
    return Ruleset(START, flags, cohorts, states, rollouts=rollouts)
