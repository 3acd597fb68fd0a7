"""Whom stages reach, proven from what is written."""

from __future__ import annotations

from rollout_sdk.engine.model import All, Condition, InCohort
from rollout_server.domain.rollouts import Stage
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.validation.audiences import Audiences
from rollout_server.domain.validation.world import World
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
