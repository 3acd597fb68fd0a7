"""Whom stages reach, proven from what is written."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.model import All, Any, Condition, InCohort, Not
from rollout_server.domain.rollouts import Stage
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.validation.audiences import Audiences
from rollout_server.domain.validation.world import World
from tests.random_worlds import COHORTS, USERS, Dice
from tests.small_state import EMPTY, applied, cohort_document
from tests.small_world import leaf

STATE = applied(
    EMPTY,
    cohort_document("many", "a", "b"),
    cohort_document("odd", "a", "b", "c", exclude=["c"]),
    cohort_document("few", "a"),
    cohort_document("tenants", "t", unit="tenant"),
)
AUDIENCES = Audiences(World(STATE.resources, ruleset_of(STATE).cohorts))
MANY, FEW, PRO = InCohort("many"), InCohort("few"), leaf("plan", "equals", "pro")


def stage(audience: Condition | None, percent: int) -> Stage:
    return Stage("s", percent * 10_000, audience)


def test_covering_is_proven_by_structure() -> None:
    """Everyone covers all, a list a shorter list, a condition what is narrower; the rest is left open."""
    assert AUDIENCES.covers(None, PRO)
    assert AUDIENCES.covers(PRO, All((PRO, MANY)))
    assert AUDIENCES.covers(MANY, FEW)
    assert not AUDIENCES.covers(FEW, MANY)
    assert not AUDIENCES.covers(PRO, None)


def test_control_is_whoever_is_reached_and_not_exposed() -> None:
    """Nobody is where everybody reached is in an audience that is exposed whole."""
    assert not AUDIENCES.has_control([])
    assert not AUDIENCES.has_control([stage(None, 0)])
    assert AUDIENCES.has_control([stage(None, 1)])
    assert AUDIENCES.has_control([stage(MANY, 100), stage(None, 1)])
    assert not AUDIENCES.has_control([stage(FEW, 1), stage(MANY, 100)])


def test_listed_units_are_counted_once_at_their_largest_share() -> None:
    """Over all stages entered; excluded ones are not counted; one open audience leaves the number open."""
    assert AUDIENCES.most_exposed([stage(FEW, 100), stage(InCohort("odd"), 100)], "user", "", 9) == 2
    assert AUDIENCES.most_exposed([stage(MANY, 100)], "user", "s" * 16, 1) == 1
    assert AUDIENCES.most_exposed([stage(FEW, 100), stage(PRO, 1)], "user", "", 9) is None
    assert AUDIENCES.most_exposed([stage(InCohort("tenants"), 100)], "user", "", 9) is None
    assert AUDIENCES.most_exposed([stage(InCohort("gone"), 100)], "user", "", 9) is None


IN_A = leaf("user", "in", ("a",), is_unit=True)
IN_AX = leaf("user", "in", ("a", "x"), is_unit=True)


@pytest.mark.parametrize(
    "audience",
    [
        All((leaf("c", "equals", "KR"), leaf("c", "equals", "TH"))),
        All((PRO, Not(PRO))),
        All((PRO, All((MANY, Not(MANY))))),
        All((FEW, Not(MANY))),
        All((InCohort("tenants"), leaf("tenant", "equals", "u", is_unit=True))),
        All((FEW, leaf("user", "equals", "b", is_unit=True))),
        All((MANY, Not(IN_AX), Not(leaf("user", "equals", "b", is_unit=True)))),
        Any((All((PRO, Not(PRO))), All((FEW, Not(FEW))))),
    ],
)
def test_audiences_that_exclude_themselves(audience: Condition) -> None:
    """Values apart, a condition and its opposite, lists without a common unit; in every branch."""
    assert AUDIENCES.is_nobody(audience)


@pytest.mark.parametrize(
    "audience",
    [
        None,
        PRO,
        MANY,
        Not(PRO),
        All((PRO, Not(MANY))),
        All((MANY, Not(FEW))),
        All((FEW, InCohort("tenants"))),
        Any((All((PRO, Not(PRO))), FEW)),
    ],
)
def test_audiences_that_may_hold_somebody_are_left_alone(audience: Condition | None) -> None:
    """Where it is not proven, nothing is said."""
    assert not AUDIENCES.is_nobody(audience)


def test_nobody_is_nobody() -> None:
    """Over random audiences: whatever is called empty holds no context."""
    found = 0
    for seed in range(800):
        dice = Dice(seed)
        named = {key: cohort_document(key, *dice.random.sample(USERS, dice.random.randint(1, 4))) for key in COHORTS}
        state = applied(EMPTY, *named.values())
        audience = All(tuple(dice.condition(COHORTS, 2) for _ in range(3)))
        audiences = Audiences(World(state.resources, ruleset_of(state).cohorts))
        if not audiences.is_nobody(audience):
            continue
        found += 1
        cohorts = {key: one.asked for key, one in compile_ruleset(ruleset_of(state)).cohorts.items()}
        asked = compile_condition(audience, cohorts)
        assert not any(asked(dice.context()) is True for _ in range(40)), (seed, audience)
    assert found > 20


def test_lists_are_understood_through_conditions() -> None:
    """Units that leaves list, unions, parts of them, and what is taken out; what never holds is not counted."""
    either = Any((FEW, leaf("user", "in", ("x", "y"), is_unit=True)))
    assert AUDIENCES.most_exposed([stage(either, 100)], "user", "", 9) == 3
    assert AUDIENCES.most_exposed([stage(All((MANY, PRO)), 100)], "user", "", 9) == 2
    assert AUDIENCES.most_exposed([stage(All((MANY, Not(FEW))), 100)], "user", "", 9) == 1
    assert AUDIENCES.most_exposed([stage(Any((FEW, PRO)), 100)], "user", "", 9) is None
    assert AUDIENCES.most_exposed([stage(MANY, 100)], "user", "", 9, [FEW, PRO]) == 1


def test_few_units_may_all_fall_into_one_arm() -> None:
    """One unit is never split; many are; an open audience may be."""
    salt = "s" * 16
    assert not AUDIENCES.is_split([stage(FEW, 50)], "user", salt, ())
    assert AUDIENCES.is_split([stage(PRO, 50)], "user", salt, ())
    many = leaf("user", "in", tuple(f"u-{at}" for at in range(64)), is_unit=True)
    assert AUDIENCES.is_split([stage(many, 50)], "user", salt, ())
    assert not AUDIENCES.is_split([stage(many, 50)], "user", salt, [many])
