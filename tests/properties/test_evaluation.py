"""Laws of evaluation, on generated rulesets and contexts."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.bucketing import bucket, unit64
from rollout_sdk.engine.cohorts import contains
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.dependencies import rollouts_of_flag
from rollout_sdk.engine.explain import explain
from rollout_sdk.engine.model import All, Any, Cohort, Condition, InCohort, Json, KeySet, Leaf, Not, Reason, ValueType
from rollout_sdk.engine.validate import validate
from tests.evaluation_worlds import World, seeded
from tests.rulesets import ORIGIN, bad_leaf, compiled, flag, serve, split

SEEDS = st.integers(0, 2**32 - 1)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)
SHARES = st.integers(0, 1_000_000)


def naive(condition: Condition, context: Context, world: World) -> float:
    """Kleene's logic as arithmetic over 0, 0.5 and 1: an answer by other means."""
    match condition:
        case Leaf():
            answer = compile_condition(condition, {})(context)
            return 0.5 if answer is None else float(answer)
        case All(conditions=parts):
            return min((naive(part, context, world) for part in parts), default=1.0)
        case Any(conditions=parts):
            return max((naive(part, context, world) for part in parts), default=0.0)
        case Not(condition=part):
            return 1 - naive(part, context, world)
        case InCohort(cohort=key):
            members = world.cohorts[key]
            excluded, included = listed(members, members.exclude, context), listed(members, members.include, context)
            met = naive(members.when, context, world) if members.when is not None else 0.0
            return min(1 - excluded, max(included, met))


def listed(members: Cohort, keys: KeySet, context: Context) -> float:
    if keys.count == 0:
        return 0.0
    key = context.units.get(members.unit)
    return 0.5 if key is None else float(contains(keys, key))


@given(seed=SEEDS)
def test_conditions_are_kleenes_logic(seed: int) -> None:
    """Closures answer what minimum, maximum and complement over 0, 1/2 and 1 answer, through cohorts of cohorts."""
    world = World(seeded(seed), flags=0)
    cohorts = {key: each.asked for key, each in compile_ruleset(world.ruleset()).cohorts.items()}
    for _ in range(5):
        condition = world.condition(list(cohorts))
        asked = compile_condition(condition, cohorts)
        for context in (world.context(), world.odd_context()):
            answer = asked(context)
            assert (0.5 if answer is None else float(answer)) == naive(condition, context, world)


@given(seed=SEEDS)
def test_an_explanation_explains_the_decision(seed: int) -> None:
    """Two readings of the same rules agree for every flag, broken ones included, on any context."""
    world = World(seeded(seed), bad_share=0.2)
    made = compile_ruleset(world.ruleset())
    decider = made.bind(ORIGIN)
    for context in (world.context(), world.odd_context()):
        for key in (*world.flags, "unknown"):
            explanation = explain(made, ORIGIN, key, context, "the caller's")
            assert explanation.decision == decider.decide(key, context, "the caller's")
            assert type(explanation.decision.value) is type(decider.decide(key, context, "the caller's").value)
            assert all(
                step.result in ("true", "false", "unknown", "unknown_flag", "error", "") for step in explanation.steps
            )


@given(seed=SEEDS)
def test_the_same_answer_is_the_same_object(seed: int) -> None:
    """Whoever asks, and however often; only lists and maps are copied."""
    world = World(seeded(seed))
    decider = compile_ruleset(world.ruleset()).bind(ORIGIN)
    seen: dict[tuple[object, ...], object] = {}
    for context in [world.context() for _ in range(4)] * 2:
        for key in world.flags:
            decision = decider.decide(key, context)
            if not isinstance(decision.value, list | dict):
                answer = (key, decision.variant, decision.reason, decision.rule, decision.stage, decision.arm)
                assert seen.setdefault(answer, decision) is decision


@given(seed=SEEDS)
def test_what_was_in_force_before_changes_no_decision(seed: int) -> None:
    """A ruleset that compiles decides the same after any history as it does alone."""
    random = seeded(seed)
    world = World(random, bad_share=0.3)
    made = compile_ruleset(world.ruleset())
    good = World(random)
    for revision in (2, 3):
        world.rollouts |= {key: each for key, each in good.rollouts.items() if random.random() < 0.5}
        world.flags |= {key: each for key, each in good.flags.items() if random.random() < 0.5}
        world.cohorts |= {key: each for key, each in good.cohorts.items() if random.random() < 0.5}
        made = compile_ruleset(world.ruleset(revision), made)
    world.flags, world.cohorts, world.rollouts = good.flags, good.cohorts, good.rollouts
    last = world.ruleset(4)
    after, alone = compile_ruleset(last, made), compile_ruleset(last)
    assert after.quarantined == alone.quarantined == after.held_back == {}
    for _ in range(3):
        context = world.context()
        assert after.bind(ORIGIN).decide_all(context) == alone.bind(ORIGIN).decide_all(context)


@given(seed=SEEDS)
def test_a_bad_flag_changes_no_other(seed: int) -> None:
    """Adding something unreadable beside the others moves nobody."""
    world = World(seeded(seed))
    rules = world.ruleset()
    worse = replace(rules, flags={"bad": flag("bad", serve(bad_leaf())), **rules.flags})
    before, after = compile_ruleset(rules).bind(ORIGIN), compile_ruleset(worse).bind(ORIGIN)
    for _ in range(3):
        context = world.context()
        assert after.decide_all(context) == {**before.decide_all(context), "bad": after.decide("bad", context)}
    assert after.decide("bad", Context()).reason is Reason.ERROR


@given(key=KEYS, low=SHARES, high=SHARES)
def test_ramping_up_only_adds(key: str, low: int, high: int) -> None:
    """Whoever is in a share stays in every larger one, and nobody is in before his bucket is reached."""
    low, high = sorted((low, high))
    context = Context(key)
    small, large = (
        compiled(flag("f", split(share))).bind(ORIGIN).decide("f", context).variant == "on" for share in (low, high)
    )
    assert large or not small
    place = bucket(flag("f").salt, unit64(key))
    assert (small, large) == (place < low, place < high)


@given(key=KEYS, attribute=st.text(max_size=5))
def test_a_bucket_is_of_the_unit_alone(key: str, attribute: str) -> None:
    """No attribute moves a unit."""
    decider = compiled(flag("f", split(500_000))).bind(ORIGIN)
    assert decider.decide("f", Context(key)) is decider.decide("f", Context(key, a=attribute, b=1))


@given(seed=SEEDS, wanted=st.sampled_from(ValueType))
def test_the_type_asked_for_or_the_default(seed: int, wanted: ValueType) -> None:
    """A value is exactly of the type asked for, or it is the very default."""
    world = World(seeded(seed), bad_share=0.2)
    decider = compile_ruleset(world.ruleset()).bind(ORIGIN)
    exact = {ValueType.BOOLEAN: bool, ValueType.STRING: str, ValueType.INTEGER: int, ValueType.FLOAT: float}
    context = world.context()
    for key, rules in world.flags.items():
        default: list[Json] = []
        decision = decider.decide(key, context, default, wanted)
        if decision.variant is None:
            assert decision.value is default
        elif wanted in exact:
            assert type(decision.value) is exact[wanted]
        else:
            assert rules.type is ValueType.JSON


FLAG_NAME = re.compile(r"flag/[a-z0-9._-]+")


@given(seed=SEEDS)
def test_what_is_published_compiles(seed: int) -> None:
    """A flag that validation lets pass is never quarantined by a reader."""
    world = World(seeded(seed), bad_share=0.3)
    problems = validate(world.flags, world.cohorts, world.rollouts)
    refused = {problem.resource for problem in problems}
    # A cycle is told once, and names every flag on it.
    refused |= {name for problem in problems if "cycle" in problem.code for name in FLAG_NAME.findall(problem.message)}
    made = compile_ruleset(world.ruleset())
    if any(resource.startswith("cohort/") for resource in refused):
        return
    assert {f"rollout/{key}" for key in made.held_back} <= refused
    by_refused = {
        f"flag/{key}"
        for key, rules in world.flags.items()
        if any(f"rollout/{rollout}" in refused for rollout in rollouts_of_flag(rules))
    }
    assert {f"flag/{key}" for key in made.quarantined} <= refused | by_refused
