"""Small rulesets to decide with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.compile import CompiledRuleset, compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    ByRollout,
    Cohort,
    Condition,
    Decision,
    Flag,
    FlagState,
    InCohort,
    Json,
    Leaf,
    Operand,
    Origin,
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

ON_OFF = (Variant("on", value=True), Variant("off", value=False))
ORIGIN = Origin("epoch-1", 7)


def flag(  # noqa: PLR0913 - one argument a field
    key: str = "f",
    *rules: Rule,
    never: tuple[Condition, ...] = (),
    requires: tuple[Requirement, ...] = (),
    targets: tuple[Target, ...] = (),
    default: str = "off",
    unit: str = "user",
    value_type: ValueType = ValueType.BOOLEAN,
    variants: tuple[Variant, ...] = ON_OFF,
    salt: str = "",
) -> Flag:
    off = "off" if any(variant.key == "off" for variant in variants) else variants[0].key
    return Flag(key, value_type, variants, off, default, salt or salt16(key), unit, never, requires, targets, rules)


def requiring(key: str, *parents: str, default: str = "on") -> Flag:
    """A flag that is on where all these are."""
    return flag(key, requires=tuple(Requirement(parent, ("on",)) for parent in parents), default=default)


def valued(key: str, value_type: ValueType, value: Json) -> Flag:
    """A flag with one variant, of this value."""
    return flag(key, value_type=value_type, variants=(Variant("only", value),), default="only")


def serve(when: Condition | None = None, variant: str = "on", rule: str = "r") -> Rule:
    return Rule(rule, Serve(variant), when)


def split(on_ppm: int, when: Condition | None = None, rule: str = "s") -> Rule:
    return Rule(rule, Split((Weight("on", on_ppm), Weight("off", 1_000_000 - on_ppm))), when)


def by_rollout(rollout: str = "x", when: Condition | None = None, rule: str = "launch") -> Rule:
    return Rule(rule, ByRollout(rollout), when)


def rollout(
    *reaches: Reach,
    key: str = "x",
    flag: str = "f",
    never: tuple[Condition, ...] = (),
    run: int = 1,
    allocation: int = 1,
    **more: Any,
) -> RolloutState:
    """A rollout from off to on, in the stages given."""
    stage = reaches[-1].stage if reaches else ""
    state = RolloutState(key, flag, run, "off", "on", salt16(key), reaches=reaches, never=never, allocation=allocation)
    return replace(state, stage=stage, **more)


def reach(share_ppm: int, audience: Condition | None = None, stage: str = "canary") -> Reach:
    return Reach(stage, share_ppm, audience)


def leaf(attribute: str, operator: str, operand: Operand) -> Leaf:
    return Leaf(attribute, operator, operand)


def bad_leaf() -> Leaf:
    """What no release evaluates."""
    return Leaf("country", "resembles", "KR")


def cohort(
    key: str = "c",
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    when: Condition | None = None,
    unit: str = "user",
) -> Cohort:
    return Cohort(key, key_set(include), key_set(exclude), unit, when)


def ruleset(
    *members: Flag | Cohort | RolloutState,
    killed: Iterable[str] = (),
    versions: dict[str, int] | None = None,
    revision: int = 7,
) -> Ruleset:
    flags = {member.key: member for member in members if isinstance(member, Flag)}
    cohorts = {member.key: member for member in members if isinstance(member, Cohort)}
    rollouts = {member.rollout: member for member in members if isinstance(member, RolloutState)}
    states = {key: FlagState(key, killed=True) for key in killed}
    return Ruleset(Position("epoch-1", revision), flags, cohorts, states, versions or {}, rollouts)


def compiled(*members: Flag | Cohort | RolloutState, killed: Iterable[str] = ()) -> CompiledRuleset:
    return compile_ruleset(ruleset(*members, killed=killed))


def decide(compiled_ruleset: CompiledRuleset, key: str = "f", context: Context | None = None) -> Decision:
    return compiled_ruleset.bind(ORIGIN).decide(key, context or Context("u-1"), default="the caller's")


def in_cohort(key: str = "c") -> InCohort:
    return InCohort(key)
