"""The exposure law (DESIGN section 7), on random pipelines with overlapping audiences.

For fixed cohorts, attributes and prerequisites: entering stages and ramping only adds exposed units, going back and
rolling back only removes them, and a new run exposes the same units first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.bucketing import bucket, salt16, unit64
from rollout_sdk.engine.compile import CompiledRuleset, compile_ruleset
from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.explain import explain
from rollout_sdk.engine.model import PPM, Arm, ByRollout, Decision, Origin, Reach, Reason, RolloutState, Rule, Ruleset
from rollout_sdk.engine.shrinks import proof
from tests.random_worlds import COHORTS, Dice

SEEDS = st.integers(0, 2**32)
CONTEXTS = 60
SOAK_SEEDS = 3_000
ORIGIN = Origin()
KEY, FLAG = "launch", "f1"


@dataclass
class World:
    """A ruleset whose flag `FLAG` is moved by one rollout, and a population to decide."""

    ruleset: Ruleset
    state: RolloutState
    population: list[Context]

    def at(self, *reaches: Reach, run: int = 1, allocation: int = 0) -> Ruleset:
        state = replace(self.state, reaches=reaches, run=run, allocation=allocation)
        return replace(self.ruleset, rollouts={**self.ruleset.rollouts, KEY: state})


def world_of(seed: int) -> tuple[Dice, World]:
    """Everything that the rollout stands on is random, and then stands still."""
    dice = Dice(seed)
    world = dice.world()
    state = replace(dice.rollout(KEY, FLAG), salt=salt16(KEY))
    when = dice.condition(COHORTS, 2) if dice.chance(0.4) else None
    flag = world.flags[FLAG]
    rules = (*flag.rules[: dice.random.randint(0, 1)], Rule("launch", ByRollout(KEY), when), *flag.rules)
    flag = replace(flag, rules=tuple(replace(rule, id=f"r{at}") for at, rule in enumerate(rules)))
    ruleset = replace(world, flags={**world.flags, FLAG: flag}, rollouts={**world.rollouts, KEY: state})
    return dice, World(ruleset, state, [dice.context() for _ in range(CONTEXTS)])


def journey(dice: Dice) -> Iterator[tuple[Reach, ...]]:
    """Yield what a run has entered: stage after stage, each in any number of ramp steps."""
    entered: tuple[Reach, ...] = ()
    yield entered
    for at in range(dice.random.randint(1, 4)):
        reach = dice.reach(f"stage-{at}")
        share_ppm = 0
        for _ in range(dice.random.randint(1, 3)):
            share_ppm = dice.random.randint(share_ppm, PPM)
            yield (*entered, replace(reach, share_ppm=share_ppm))
        entered = (*entered, replace(reach, share_ppm=share_ppm))


def decisions(made: CompiledRuleset, population: list[Context]) -> list[Decision]:
    assert FLAG not in made.quarantined
    decider = made.bind(ORIGIN)
    return [decider.decide(FLAG, context) for context in population]


def exposed(found: list[Decision]) -> set[int]:
    return {at for at, decision in enumerate(found) if decision.rollout == KEY and decision.arm is Arm.CANDIDATE}


def reach_of(made: CompiledRuleset, reaches: tuple[Reach, ...], context: Context) -> int:
    """The largest share among the stages whose audience is true, by the shortest reading of those words."""
    cohorts = {key: cohort.asked for key, cohort in made.cohorts.items()}
    return max(
        (
            reach.share_ppm
            for reach in reaches
            if reach.audience is None or compile_condition(reach.audience, cohorts)(context) is True
        ),
        default=0,
    )


def check_arms(made: CompiledRuleset, state: RolloutState, found: list[Decision], population: list[Context]) -> None:
    """Every answer of the rollout is what its reach and its bucket make of it; and it is explained as decided."""
    cohorts = {key: cohort.asked for key, cohort in made.cohorts.items()}
    never = [compile_condition(condition, cohorts) for condition in state.never if state.reaches]
    for context, decision in zip(population, found, strict=True):
        assert explain(made, ORIGIN, FLAG, context).decision == decision
        if decision.rollout != KEY:
            continue
        assert (decision.run, decision.allocation) == (state.run, state.allocation)
        key = context.units.get(state.unit)
        if key is None:
            assert (decision.reason, decision.arm, decision.reach_ppm) == (Reason.NO_UNIT, None, 0)
            continue
        out = any(asked(context) is not False for asked in never)
        reach_ppm = 0 if out else reach_of(made, state.reaches, context)
        is_exposed = bucket(state.salt, unit64(key)) < reach_ppm
        arm = None if not reach_ppm else Arm.CANDIDATE if is_exposed else Arm.CONTROL
        assert (decision.reason, decision.reach_ppm, decision.arm) == (Reason.ROLLOUT, reach_ppm, arm)
        assert decision.variant == (state.to_variant if is_exposed else state.from_variant)
        stage = next((reach.stage for reach in state.reaches if reach.stage == decision.stage), None)
        assert (stage is None) is (arm is None)


def check(seed: int) -> None:
    dice, world = world_of(seed)
    made: CompiledRuleset | None = None
    before: set[int] = set()
    first: list[tuple[tuple[Reach, ...], set[int]]] = []
    for allocation, entered in enumerate(journey(dice)):
        at = world.at(*entered, allocation=allocation)
        made = compile_ruleset(at, made)
        found = decisions(made, world.population)
        check_arms(made, at.rollouts[KEY], found, world.population)
        now = exposed(found)
        assert before <= now, (seed, "ramping dropped a unit")
        first.append((entered, now))
        before = now
    assert made is not None
    back = compile_ruleset(world.at(allocation=99), made)
    assert exposed(decisions(back, world.population)) == set(), (seed, "a rollback left somebody exposed")
    growth = proof(world.at(*first[-1][0]), world.at()).growth  # of flags that require a `from`, which may grow indeed
    assert not any(sentence.startswith(f"flag/{FLAG}:") for sentence in growth), (seed, "a rollback is not proven")
    for reaches, was in first:
        again = decisions(compile_ruleset(world.at(*reaches, run=2), back), world.population)
        assert exposed(again) == was, (seed, "a new run exposed others")
    check_lowering(seed, dice, world, first[-1])


def check_lowering(seed: int, dice: Dice, world: World, last: tuple[tuple[Reach, ...], set[int]]) -> None:
    """A new run that has come less far exposes some of those whom the last one did."""
    reaches, exposed_then = last
    fewer = tuple(replace(reach, share_ppm=dice.random.randint(0, reach.share_ppm)) for reach in reaches)
    found = decisions(compile_ruleset(world.at(*fewer, run=2)), world.population)
    assert exposed(found) <= exposed_then, (seed, "less far, and others")


@settings(max_examples=60)
@given(seed=SEEDS)
def test_the_exposure_law(seed: int) -> None:
    """Ramping only adds, going back only removes, a new run begins alike; arms follow reach and bucket."""
    check(seed)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_exposure_law_over_many_pipelines() -> None:
    """The same, thousands of times."""
    for seed in range(SOAK_SEEDS):
        check(seed)


@given(seed=SEEDS)
def test_arms_are_compared_within_equal_reach_only(seed: int) -> None:
    """At one reach the buckets of the exposed lie below those of the control, so that chance alone parts them."""
    dice, world = world_of(seed)
    *_, entered = journey(dice)
    found = decisions(compile_ruleset(world.at(*entered)), world.population)
    sides: dict[tuple[int, Arm], list[int]] = {}
    for context, decision in zip(world.population, found, strict=True):
        if decision.rollout == KEY and decision.arm is not None:
            place = bucket(world.state.salt, unit64(context.units[world.state.unit]))
            sides.setdefault((decision.reach_ppm, decision.arm), []).append(place)
    for (reach_ppm, arm), places in sides.items():
        assert max(places) < reach_ppm if arm is Arm.CANDIDATE else min(places) >= reach_ppm
    assert all(arm is not Arm.CONTROL for reach_ppm, arm in sides if reach_ppm == PPM)
