"""Conditions compared through all, any, not and cohorts."""

import pytest

from rollout_sdk.engine.model import All, Any, Cohort, Condition, InCohort, Not
from rollout_sdk.engine.narrowing import BUDGET, EVERYBODY, NOBODY, Narrowing, Side, Sided
from tests.small_world import cohort, leaf

KR = leaf("c", "equals", "KR")
ASIA = leaf("c", "in", ("KR", "TH"))
PRO = leaf("plan", "equals", "pro")
OLD = leaf("age", ">", 65)


def compare(one: Condition, other: Condition, before: tuple[Cohort, ...] = (), after: tuple[Cohort, ...] = ()) -> bool:
    """Is `one`, after, at most `other`, before?"""
    narrowing = Narrowing({each.key: each for each in before}, {each.key: each for each in after})
    narrowing.refill()
    return narrowing.at_most(Sided(one, Side.AFTER), Sided(other, Side.BEFORE))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (KR, ASIA),
        (NOBODY, KR),
        (KR, EVERYBODY),
        (All((KR, PRO)), KR),
        (All((KR, PRO)), All((PRO, ASIA))),
        (KR, Any((PRO, ASIA))),
        (Any((KR, PRO)), Any((PRO, OLD, ASIA))),
        (Any((KR, All((PRO, OLD)))), Any((ASIA, PRO))),
        (All((Any((KR, PRO)), OLD)), Any((ASIA, PRO))),
        (Not(ASIA), Not(KR)),
        (Not(Not(KR)), ASIA),
        (Not(Any((KR, PRO))), Not(KR)),
        (Not(Any((ASIA, PRO))), All((Not(PRO), Not(KR)))),
        (Not(KR), Not(All((KR, PRO)))),
    ],
)
def test_narrower_is_found_through_the_tree(narrow: Condition, wide: Condition) -> None:
    """Parts that are dropped, added or narrowed are seen at any depth and through negation."""
    assert compare(narrow, wide)
    assert not compare(wide, narrow)


@pytest.mark.parametrize(
    ("one", "other"),
    [(Not(KR), KR), (KR, Not(KR)), (KR, PRO), (EVERYBODY, KR), (KR, NOBODY), (InCohort("gone"), InCohort("gone"))],
)
def test_the_rest_is_not_claimed(one: Condition, other: Condition) -> None:
    """Opposites, strangers and cohorts that are not there are not comparable."""
    assert not compare(one, other)


BETA = cohort("beta", ["a", "b"], ["x"], when=ASIA)


@pytest.mark.parametrize(
    "after",
    [
        BETA,
        cohort("beta", ["a"], ["x"], when=ASIA),
        cohort("beta", ["a", "b"], ["x", "y"], when=ASIA),
        cohort("beta", ["a", "b"], ["x"], when=KR),
        cohort("beta", ["a", "b"], ["x"]),
        cohort("beta", exclude=["x"], when=ASIA),
    ],
)
def test_a_cohort_that_lost_members_is_at_most_what_it_was(after: Cohort) -> None:
    """Fewer listed, more excluded, a narrower condition: nobody is a member who was none."""
    assert compare(InCohort("beta"), InCohort("beta"), (BETA,), (after,))
    assert compare(Not(InCohort("beta")), Not(InCohort("beta")), (BETA,), (after,)) is (after is BETA)


@pytest.mark.parametrize(
    "after",
    [
        cohort("beta", ["a", "b", "c"], ["x"], when=ASIA),
        cohort("beta", ["a", "b"], when=ASIA),
        cohort("beta", ["a", "b"], ["x"], when=Any((ASIA, PRO))),
        cohort("beta", ["a", "b"], ["x"], "tenant", ASIA),
    ],
)
def test_a_cohort_that_may_have_gained_is_not(after: Cohort) -> None:
    """One more listed, one less excluded, a wider condition, another unit: no claim."""
    assert not compare(InCohort("beta"), InCohort("beta"), (BETA,), (after,))


def test_cohorts_are_compared_by_what_they_hold_not_by_name() -> None:
    """A rule may go from one cohort to a smaller one."""
    small = cohort("small", ["a"], ["x"])
    assert compare(InCohort("small"), InCohort("beta"), (BETA,), (small,))


def test_cohorts_that_name_each_other_end_unproven() -> None:
    """A ring of cohorts, which validation refuses, does not hang."""
    ring = (cohort("x", when=InCohort("y")), cohort("y", when=InCohort("x")))
    assert not compare(InCohort("x"), InCohort("x"), ring, ring)


def test_work_is_bounded() -> None:
    """A comparison that would take too long is given up, and says so."""
    wide = Any(tuple(leaf(f"a{at}", "equals", at) for at in range(1_000)))
    other = Any(tuple(leaf(f"b{at}", "equals", at) for at in range(1_000)))
    narrowing = Narrowing({}, {})
    narrowing.refill()
    pairs = 0
    while not narrowing.exhausted and pairs < BUDGET:
        assert not narrowing.at_most(Sided(All((wide,) * (pairs + 1)), Side.AFTER), Sided(other, Side.BEFORE))
        pairs += 1
    assert narrowing.exhausted
    narrowing.refill()
    assert not narrowing.exhausted
