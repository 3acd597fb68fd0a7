"""Whom a rollout exposes: reach by stages entered, exposure by bucket, arms by both.

A unit's reach is the largest share among the stages entered whose audience is true for the context. It is exposed where
its bucket is below its reach. So stages are tried by share, the largest first: the first that holds the context is its
reach, and what comes after one for everybody is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mmh3 import mmh3_32_uintdigest

from rollout_sdk.engine import limits
from rollout_sdk.engine.bucketing import SALT_LENGTH, hash_bound, split_head
from rollout_sdk.engine.conditions import Asked, Uncompilable, compile_condition
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import LAW_1, PPM, Arm, Flag, Reach, Reason, RolloutState
from rollout_sdk.engine.outcomes import Exposure, Outcomes


class Stage(NamedTuple):
    """A stage entered, ready to be asked.

    Attributes:
        asked: None holds for everybody.
    """

    reach: Reach
    asked: Asked | None


class Stages(NamedTuple):
    """A rollout's state with its conditions compiled.

    Attributes:
        never: true or unknown in any of these is out.
        by_share: the largest first, up to the first that holds for everybody; those that hold nobody are left out.
    """

    state: RolloutState
    never: tuple[Asked, ...] = ()
    by_share: tuple[Stage, ...] = ()


class Everyone(NamedTuple):
    """A rollout that reaches everybody at one share: all that its answer takes, for who counts and answers in one.

    Attributes:
        unit: kind of unit.
        head: hashed before the unit.
        bound: the candidate is whoever hashes below.
        candidate, control, no_unit: numbers of outcomes.
    """

    unit: str
    head: bytes
    bound: int
    candidate: int
    control: int
    no_unit: int


class Exposing(NamedTuple):
    """A rollout's answer for one flag, by number of outcome.

    Attributes:
        everyone: says the same as `evaluate`; None where it takes more than that.
    """

    evaluate: Callable[[Context], int]
    everyone: Everyone | None = None


def compile_stages(state: RolloutState, cohorts: Mapping[str, Asked]) -> Stages:
    """Compile the conditions of a rollout. One that exposes nobody always compiles: nothing else of it is looked at.

    Args:
        state: read or made by anybody; nothing is assumed of it.
        cohorts: membership of every cohort in force.

    Raises:
        Uncompilable: the message says what is wrong.
    """
    if not state.reaches:
        return Stages(state)
    _check(state)
    never = tuple(compile_condition(condition, cohorts) for condition in state.never)
    stages = [Stage(reach, _audience(reach, cohorts)) for reach in state.reaches]
    by_share = []
    # The sort is stable: of equal shares the stage that was entered first counts.
    for stage in sorted(stages, key=lambda stage: stage.reach.share_ppm, reverse=True):
        if stage.reach.share_ppm:
            by_share.append(stage)
            if stage.asked is None:
                break
    return Stages(state, never, tuple(by_share))


def _audience(reach: Reach, cohorts: Mapping[str, Asked]) -> Asked | None:
    if not 0 <= reach.share_ppm <= PPM:
        raise Uncompilable(f"stage {reach.stage!r} has a share of {reach.share_ppm} ppm")
    try:
        return None if reach.audience is None else compile_condition(reach.audience, cohorts)
    except Uncompilable as error:
        raise Uncompilable(f"stage {reach.stage!r}: {error}") from None


def _check(state: RolloutState) -> None:
    for what, count, most in (
        ("stages", len(state.reaches), limits.STAGES_PER_PIPELINE),
        ("conditions in never", len(state.never), limits.NEVER_PER_FLAG),
    ):
        if count > most * limits.READERS_FACTOR:
            raise Uncompilable(f"the rollout has {count} {what}, more than {most * limits.READERS_FACTOR}")
    if state.law != LAW_1:
        raise Uncompilable(f"the rollout exposes by law {state.law}, which this version does not know")
    if len(state.salt) != SALT_LENGTH or not state.salt.isascii():
        raise Uncompilable(f"the rollout's salt must have {SALT_LENGTH} ASCII characters")


def misfit(flag: Flag, state: RolloutState) -> str:
    """Return why a rollout cannot answer for this flag; empty when it can. One that exposes nobody always can."""
    if not state.reaches:
        return ""
    if state.flag != flag.key:
        return f"it moves flag {state.flag!r}"
    variants = {variant.key for variant in flag.variants}
    missing = [variant for variant in (state.from_variant, state.to_variant) if variant not in variants]
    return f"it names variant {missing[0]!r}, which the flag does not have" if missing else ""


def unexposed_variant(flag: Flag, state: RolloutState) -> str:
    """Return what those get who are not exposed: `from`, or `off` where the flag does not have that variant."""
    has_variant = any(variant.key == state.from_variant for variant in flag.variants)
    return state.from_variant if has_variant else flag.off


def compile_exposure(flag: Flag, rule: str, stages: Stages, outcomes: Outcomes) -> Exposing:
    """Return the rollout's answer to every context.

    Args:
        flag: has both variants, see `misfit`.
        rule: id of the rule that names the rollout.
        stages: by `compile_stages`.
        outcomes: of the flag.
    """
    state = stages.state
    unexposed = unexposed_variant(flag, state)
    nobody = Exposure(state.rollout, state.run, None, None, state.allocation, 0)
    no_unit = outcomes.number(unexposed, Reason.NO_UNIT, rule, nobody)
    out = outcomes.number(unexposed, Reason.ROLLOUT, rule, nobody)
    kind = state.unit
    if not stages.by_share:
        return Exposing(lambda context: out if kind in context.units else no_unit)
    head, hash32, never = split_head(state.salt), mmh3_32_uintdigest, stages.never
    tried = tuple(
        (
            stage.asked,
            hash_bound(stage.reach.share_ppm),
            outcomes.number(state.to_variant, Reason.ROLLOUT, rule, _exposure(nobody, stage.reach, Arm.CANDIDATE)),
            outcomes.number(unexposed, Reason.ROLLOUT, rule, _exposure(nobody, stage.reach, Arm.CONTROL)),
        )
        for stage in stages.by_share
    )

    def of_some(context: Context) -> int:
        unit = context.unit64s.get(kind)
        if unit is None:
            unit = context.unit64(kind)
            if unit is None:
                return no_unit
        for asked in never:
            if asked(context) is not False:  # unknown matches: silence exposes nobody
                return out
        for audience, bound, candidate, control in tried:
            if audience is None or audience(context):
                return candidate if hash32(head + unit) < bound else control
        return out

    first, bound, candidate, control = tried[0]
    if first is not None or never:
        return Exposing(of_some)

    def of_all(context: Context) -> int:
        unit = context.unit64s.get(kind)
        if unit is None:
            unit = context.unit64(kind)
            if unit is None:
                return no_unit
        return candidate if hash32(head + unit) < bound else control

    return Exposing(of_all, Everyone(kind, head, bound, candidate, control, no_unit))


def _exposure(nobody: Exposure, reach: Reach, arm: Arm) -> Exposure:
    return nobody._replace(stage=reach.stage, arm=arm, reach_ppm=reach.share_ppm)
