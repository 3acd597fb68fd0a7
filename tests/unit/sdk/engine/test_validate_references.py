"""What flags and cohorts name."""

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.limits import EVALUATION_DEPTH
from rollout_sdk.engine.model import All, Cohort, Flag, InCohort, Not
from rollout_sdk.engine.problems import Problem
from rollout_sdk.engine.validate_references import References, cycles
from tests.small_world import cohort, flag, leaf, requires, serve


def found(*things: Flag | Cohort) -> list[Problem]:
    flags = {thing.key: thing for thing in things if isinstance(thing, Flag)}
    cohorts = {thing.key: thing for thing in things if isinstance(thing, Cohort)}
    findings = Findings()
    References(flags, cohorts).check(findings, flags, cohorts)
    return findings.problems


def told(*things: Flag | Cohort) -> list[tuple[str, str, str]]:
    return [(problem.resource, problem.path, problem.code) for problem in found(*things)]


def test_what_exists_and_ends_is_no_problem() -> None:
    """Parents, cohorts, cohorts in cohorts; a cohort of tenants in a flag of users is allowed."""
    assert (
        found(
            flag("parent", serve("on")),
            flag("child", serve("on", InCohort("outer")), requires=(requires("parent", "on", "blue"),)),
            cohort("outer", when=Not(InCohort("inner"))),
            cohort("inner", ["t-1"], unit="tenant"),
        )
        == []
    )


def test_unknown_names_are_told_with_the_near_miss() -> None:
    """Flags, their variants and cohorts; at the place of the name."""
    problems = found(
        flag("parent"),
        flag("a", requires=(requires("parrent"),)),
        flag("b", requires=(requires("parent", "blue", "blu"),)),
        flag("c", serve("on", All((leaf("x", "equals", 1), InCohort("bta")))), never=(InCohort("bta"),)),
        cohort("beta", when=Not(InCohort("gone"))),
    )
    assert [(problem.resource, problem.path, problem.code) for problem in problems] == [
        ("flag/a", "spec.requires[0].flag", "unknown_flag"),
        ("flag/b", "spec.requires[0].variants[1]", "unknown_variant"),
        ("flag/c", "spec.never[0].cohort", "unknown_cohort"),
        ("flag/c", "spec.rules[0].when.all[1].cohort", "unknown_cohort"),
        ("cohort/beta", "spec.when.not.cohort", "unknown_cohort"),
    ]
    assert problems[0].hint == 'did you mean "parent"?'
    assert problems[2].hint == 'did you mean "beta"?'


def test_requiring_the_parents_off_is_refused() -> None:
    """A rollback of the parent would expose the child."""
    problem = found(flag("parent"), flag("child", requires=(requires("parent", "on", "off"),)))[0]
    assert (problem.resource, problem.path, problem.code) == (
        "flag/child",
        "spec.requires[0].variants[1]",
        "requires_off",
    )
    assert "rollback" in problem.message


def test_a_cycle_of_requirements_is_named_from_the_flag_that_is_told() -> None:
    """The whole ring is told in order, whether of one flag or of many."""
    problem = found(
        flag("a", requires=(requires("x"), requires("b"))),
        flag("b", requires=(requires("c"),)),
        flag("c", requires=(requires("a"),)),
        flag("x"),
    )[0]
    assert (problem.resource, problem.path, problem.code) == ("flag/a", "spec.requires[1].flag", "requires_cycle")
    assert "flag/a requires flag/b requires flag/c requires flag/a" in problem.message
    assert told(flag("a", requires=(requires("a"),))) == [("flag/a", "spec.requires[0].flag", "requires_cycle")]


def test_a_cycle_of_cohorts_is_named() -> None:
    """Cohorts may name cohorts, but not round in a ring."""
    problem = found(cohort("a", when=InCohort("b")), cohort("b", when=InCohort("a")))[0]
    assert (problem.resource, problem.path, problem.code) == ("cohort/a", "spec.when", "cohort_cycle")
    assert "cohort/a names cohort/b names cohort/a" in problem.message


def test_a_long_cycle_is_told_in_short() -> None:
    """A ring of thousands does not fill the screen, nor the stack."""
    ring = [flag(f"f{at:04}", requires=(requires(f"f{(at + 1) % 3_000:04}"),)) for at in range(3_000)]
    problems = [problem for problem in found(*ring) if problem.code == "requires_cycle"]
    assert len(problems) == 1
    assert len(problems[0].message) < 400
    assert "more" in problems[0].message


def test_cycles_are_all_found() -> None:
    """Breaking each told cycle leaves none."""
    edges = {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}, "d": {"d"}, "e": {"a"}}
    assert sorted(map(sorted, cycles(edges))) == [["a", "b"], ["b", "c"], ["d"]]


def test_chains_are_as_deep_as_one_decision_may_go() -> None:
    """Levels of conditions, cohorts and requirements count together."""
    chain = [flag(f"f{at}", requires=(requires(f"f{at - 1}"),) if at else ()) for at in range(EVALUATION_DEPTH)]
    assert found(*chain) == []
    longer = [*chain, flag("end", requires=(requires(chain[-1].key),))]
    assert told(*longer) == [("flag/end", "spec.requires", "too_deep")]
    half = EVALUATION_DEPTH // 2
    cohorts = [cohort(f"c{at}", ["u"], when=InCohort(f"c{at - 1}") if at else None) for at in range(half)]
    assert found(*cohorts) == []
    assert {
        problem.code for problem in found(*cohorts, *longer[:-1], flag("z", serve("on", InCohort(f"c{half - 1}"))))
    } <= {"too_deep"}


def test_names_that_double_at_every_level_are_refused() -> None:
    """Thirty levels that each name the next one twice would be asked a billion times in one decision."""
    twice = [cohort(f"c{at}", when=All((InCohort(f"c{at + 1}"),) * 2)) for at in range(30)]
    problems = found(*twice, cohort("c30", ["u"]), flag("f", serve("on", InCohort("c0"))))
    assert ("flag/f", "spec", "too_costly") in [(each.resource, each.path, each.code) for each in problems]
    parents = [flag(f"f{at}", requires=(requires(f"f{at - 1}"),) * 2 if at else ()) for at in range(30)]
    assert ("flag/f29", "spec", "too_costly") in told(*parents)
    assert not any(code == "too_costly" for _, _, code in told(*parents[:10]))


def test_dependents_are_found_at_any_remove() -> None:
    """A cohort in a cohort under a parent reaches the child."""
    things = [
        flag("parent", serve("on", InCohort("outer"))),
        flag("child", requires=(requires("parent"),)),
        flag("other"),
    ]
    cohorts = {"outer": cohort("outer", when=InCohort("inner")), "inner": cohort("inner", ["u"])}
    references = References({each.key: each for each in things}, cohorts)
    assert references.dependents([], ["inner"]) == ({"parent", "child"}, {"inner", "outer"})
    assert references.dependents(["parent"], []) == ({"parent", "child"}, set())
