"""A plan equals its outcome."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import DEFAULT_UNIT, ByRollout, Flag, Origin, Ruleset
from rollout_server.domain.journal import State
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.population import Tally, units_of
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind, Metadata, Resource
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.synthetic import members_of, synthetic
from tests.random_worlds import COHORTS, FLAGS, USERS, Dice
from tests.small_state import EMPTY, applied, committed


def flag_resource(flag: Flag) -> Resource:
    parents = tuple(
        replace(one, variants=tuple(v for v in one.variants if v != "off") or ("on",)) for one in flag.requires
    )
    rules = tuple(rule for rule in flag.rules if not isinstance(rule.outcome, ByRollout))  # runs are not planned here
    spec = FlagSpec(
        flag.type, flag.variants, flag.off, flag.default, flag.unit, flag.never, parents, flag.targets, rules
    )
    return Resource(Kind.FLAG, Metadata(flag.key), spec)


def cohort_resource(dice: Dice, key: str) -> Resource:
    made = dice.cohort(key)
    spec = CohortSpec(made.unit, tuple(dice.random.sample(USERS, 5)), tuple(dice.random.sample(USERS, 2)), made.when)
    return Resource(Kind.COHORT, Metadata(key), spec)


def documents(dice: Dice) -> list[Resource]:
    return [*(flag_resource(dice.flag(key)) for key in FLAGS), *(cohort_resource(dice, key) for key in COHORTS)]


def decider(ruleset: Ruleset) -> Decider:
    compiled = compile_ruleset(ruleset)
    assert not compiled.quarantined
    return compiled.bind(Origin())


def change(dice: Dice, state: State) -> list[Resource]:
    """Some of the state's resources, some of them anew."""
    fresh = {resource.id: resource for resource in documents(dice)}
    return [
        fresh[id_] if dice.chance(0.5) else replace(resource, status=None, version=0)
        for id_, resource in state.resources.items()
        if dice.chance(0.5)
    ]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_moves_of_a_plan_are_the_differences_after_it_is_applied(seed: int) -> None:
    """Every move that was listed happens, nobody else moves, and flags outside of the plan decide as before."""
    dice = Dice(seed)
    state = applied(EMPTY, *documents(dice))
    made = plan(state, Wish(change(dice, state)))
    assert made.problems == ()
    after = committed(state, *made.writes)
    old, new = decider(ruleset_of(state)), decider(ruleset_of(after))
    planned = [decider(ruleset) for ruleset in made.rulesets]
    tally = Tally(planned[0], planned[1], units_of(made.flags, *made.rulesets))
    contexts = list(synthetic(made.rulesets, FLAGS, members_of(state), 60, seed))
    contexts += [dice.context() for _ in range(60)]
    counted = dict.fromkeys(made.flags, 0)
    for context in contexts:
        moves = {move.flag: move for move in tally.add(context)}
        for key in FLAGS:
            was, now = old.decide(key, context), new.decide(key, context)
            assert (key in moves) is ((was.variant, was.value) != (now.variant, now.value))
            if key in moves:
                counted[key] += 1
                move = moves[key]
                assert (move.variant_before, move.reason_before, move.rule_before) == (
                    was.variant,
                    was.reason,
                    was.rule,
                )
                assert (move.variant_after, move.reason_after, move.rule_after) == (now.variant, now.reason, now.rule)
                assert move.unit_key == context.units.get(move.unit_kind, "")
    assert {result.flag: result.moved for result in tally.result()} == counted


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_the_hash_moves_exactly_when_something_read_moves(seed: int) -> None:
    """Any later entry changes the hash if and only if it changes a resource that the plan read."""
    dice = Dice(seed)
    state = applied(EMPTY, *documents(dice))
    wish = Wish(change(dice, state)[:2])
    made = plan(state, wish)
    id_ = dice.random.choice(sorted(state.resources, key=str))
    touched = replace(state.resources[id_], metadata=replace(state.resources[id_].metadata, owner="mia"))
    later = applied(state, replace(touched, status=None))
    assert (plan(later, wish).hash != made.hash) is (id_ in made.reads)


def test_the_kind_of_unit_shown_defaults_to_users() -> None:
    """A flag that neither side knows is shown by user."""
    nothing = ruleset_of(EMPTY)
    assert units_of(["gone"], nothing, nothing) == {"gone": DEFAULT_UNIT}
