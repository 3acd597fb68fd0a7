"""What flags, cohorts and rollouts name."""

from dataclasses import replace

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.limits import EVALUATION_DEPTH
from rollout_sdk.engine.model import PPM, All, Cohort, Flag, InCohort, Not, Reach, RolloutState
from rollout_sdk.engine.problems import Problem
from rollout_sdk.engine.validate_references import References, cycles
from tests.small_world import by_rollout, cohort, flag, leaf, requires, rollout, serve


def found(*things: Flag | Cohort | RolloutState) -> list[Problem]:
    flags = {thing.key: thing for thing in things if isinstance(thing, Flag)}
    cohorts = {thing.key: thing for thing in things if isinstance(thing, Cohort)}
    findings = Findings()
    rollouts = {thing.rollout: thing for thing in things if isinstance(thing, RolloutState)}
    References(flags, cohorts, rollouts).check(findings, flags, cohorts, rollouts)
    return findings.problems


def told(*things: Flag | Cohort | RolloutState) -> list[tuple[str, str, str]]:
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
    references = References({each.key: each for each in things}, cohorts, {})
    assert references.dependents([], ["inner"], []) == ({"parent", "child"}, {"inner", "outer"}, set())
    assert references.dependents(["parent"], [], []) == ({"parent", "child"}, set(), set())


def test_rollouts_depend_on_cohorts_and_flags_and_flags_on_rollouts() -> None:
    """A cohort under a stage reaches the rollout, the flag that it moves, and the flag that requires that one."""
    flags = {
        "f": flag("f", by_rollout("x")),
        "child": flag("child", requires=(requires("f"),)),
        "other": flag("other"),
    }
    state = rollout("x", "f", Reach("pilots", PPM, InCohort("inner")))
    references = References(flags, {"inner": cohort("inner", ["u"])}, {"x": state, "y": rollout("y", "other")})
    assert references.dependents([], ["inner"], []) == ({"f", "child"}, {"inner"}, {"x"})
    assert references.dependents([], [], ["x"]) == ({"f", "child"}, set(), {"x"})
    assert references.dependents(["f"], [], []) == ({"f", "child"}, set(), {"x"})
    assert references.dependents([], [], ["gone"]) == (set(), set(), {"gone"})


def test_a_rule_by_a_rollout_that_is_not_this_flags() -> None:
    """Unknown, with the near miss; or of another flag."""
    assert told(flag("f", serve("on", leaf("a", "exists", operand=True)), by_rollout("xx")), rollout("x1", "f")) == [
        ("flag/f", "spec.rules[1].rollout", "unknown_rollout")
    ]
    assert told(flag("f", by_rollout("x")), flag("g"), rollout("x", "g")) == [
        ("flag/f", "spec.rules[0].rollout", "rollout_of_another_flag")
    ]
    assert told(flag("f", by_rollout("x")), rollout("x", "f")) == []


def test_requiring_what_a_running_rollout_moves_away_from() -> None:
    """A rollback of the parent would expose the child; an ended rollout, or its `to`, does no harm."""
    child = flag("child", requires=(requires("f", "on", "blue"),))
    moving = flag("f", by_rollout("x"))
    running = rollout("x", "f", Reach("canary", 1), from_variant="blue", to_variant="on")
    assert told(child, moving, running) == [("flag/child", "spec.requires[0].variants[1]", "requires_from")]
    assert told(child, moving, replace(running, reaches=())) == []
    assert told(child, flag("f"), running) == []


def test_stages_count_into_the_depth_and_the_cost_of_a_decision() -> None:
    """As readers count them: a reader that refuses the flag must never be the first to say so."""
    deep = {f"c{at}": cohort(f"c{at}", when=InCohort(f"c{at - 1}")) for at in range(1, EVALUATION_DEPTH // 2)}
    bottom = cohort("c0", ["u"])
    state = rollout("x", "f", Reach("pilots", PPM, InCohort(f"c{EVALUATION_DEPTH // 2 - 1}")))
    assert told(*deep.values(), bottom, state, flag("f", by_rollout("x"))) == [("flag/f", "spec", "too_deep")]
    doubling = {
        f"d{at}": cohort(f"d{at}", when=All((InCohort(f"d{at - 1}"), InCohort(f"d{at - 1}")))) for at in range(1, 15)
    }
    costly = rollout("x", "f", Reach("a", 1, InCohort("d14")), Reach("b", 2, InCohort("d14")))
    assert told(*doubling.values(), cohort("d0", ["u"]), costly, flag("f", by_rollout("x"))) == [
        ("flag/f", "spec", "too_costly")
    ]
