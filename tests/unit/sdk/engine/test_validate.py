"""A whole environment: every problem at once, and a change at the price of the change."""

from collections.abc import Iterable
from dataclasses import replace

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Cohort, Flag, InCohort
from rollout_sdk.engine.validate import validate, validate_change
from tests.small_world import cohort, flag, leaf, requires, ruleset, serve

BAD = leaf("n", "<", "5")


def by_key(*flags: Flag) -> dict[str, Flag]:
    return {each.key: each for each in flags}


def cohorts(*each: Cohort) -> dict[str, Cohort]:
    return {one.key: one for one in each}


def test_an_environment_in_order_has_no_problems() -> None:
    """Nothing is found where nothing is wrong, and the SDK's compiler agrees."""
    flags = by_key(flag("a", serve("on", InCohort("c"))), flag("b", requires=(requires("a"),)))
    groups = cohorts(cohort("c", ["u"]))
    assert validate(flags, groups) == ()
    assert not compile_ruleset(ruleset(*flags.values(), *groups.values())).quarantined


def test_every_problem_of_every_resource_is_told_at_once() -> None:
    """The first mistake hides no other, in the same flag or in another."""
    flags = by_key(
        flag("a", serve("onn", BAD), off="of", requires=(requires("gone"),)),
        flag("b", serve("on", InCohort("gone")), salt=""),
    )
    found = {(problem.resource, problem.path) for problem in validate(flags, cohorts(cohort("c")))}
    assert found == {
        ("flag/a", "spec.off"),
        ("flag/a", "spec.rules[0].serve"),
        ("flag/a", "spec.rules[0].when.<"),
        ("flag/a", "spec.requires[0].flag"),
        ("flag/b", "spec.salt"),
        ("flag/b", "spec.rules[0].when.cohort"),
        ("cohort/c", "spec"),
    }


def resources(problems: Iterable[object]) -> set[str]:
    return {str(problem).split(":")[0] for problem in problems}


def test_a_change_is_told_for_itself_and_for_what_depends_on_it() -> None:
    """Who takes a variant away is told of the flags that require it; strangers with old problems are not."""
    parent = flag("parent")
    flags = by_key(
        replace(parent, variants=parent.variants[1:], default="blue"),
        flag("child", requires=(requires("parent", "on"),)),
        flag("stranger", serve("on", BAD)),
    )
    assert resources(validate_change(flags, {}, ["parent"], [])) == {"flag/child"}
    assert resources(validate(flags, {})) == {"flag/child", "flag/stranger"}


def test_a_change_of_a_cohort_is_told_for_its_users() -> None:
    """A deleted cohort breaks the flags and cohorts that name it."""
    flags = by_key(flag("a", serve("on", InCohort("outer"))), flag("b", serve("on", InCohort("gone"))))
    groups = cohorts(cohort("outer", when=InCohort("gone")))
    assert resources(validate_change(flags, groups, [], ["gone"])) == {"flag/b", "cohort/outer"}


def test_a_cycle_that_a_change_closes_is_told_of_the_change() -> None:
    """Of the flags in the ring, one that was changed or depends on it is told."""
    flags = by_key(flag("a", requires=(requires("b"),)), flag("b", requires=(requires("a"),)))
    assert [problem.code for problem in validate_change(flags, {}, ["b"], [])] == ["requires_cycle"]
    assert validate_change(flags, {}, [], []) == ()
