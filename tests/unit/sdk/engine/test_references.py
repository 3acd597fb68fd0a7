"""Who names whom."""

from rollout_sdk.engine.model import All, Any, InCohort, Not
from rollout_sdk.engine.references import cohorts_in, cohorts_of, reached, referents_first, turned
from tests.small_world import leaf, serve

DEEP = All((InCohort("a"), Any((leaf("x", "equals", 1), Not(InCohort("b")))), InCohort("a")))


def test_cohorts_are_found_at_any_depth_in_order() -> None:
    """Every cohort a condition names is told, in order of appearance, repeats included."""
    assert list(cohorts_in(DEEP)) == ["a", "b", "a"]
    assert list(cohorts_in(None)) == []


def test_a_flag_names_cohorts_in_never_and_rules() -> None:
    """`never` counts as much as the rules do."""
    assert list(cohorts_of([InCohort("n")], [serve("on", DEEP), serve("on")])) == ["n", "a", "b", "a"]


def test_reached_goes_round_cycles_and_ends() -> None:
    """Everything at any remove is found, also where names form a ring."""
    assert reached(["a"], {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == {"a", "b", "c"}
    assert reached([], {"a": ["b"]}) == set()


def test_turned_tells_who_is_named_by_whom() -> None:
    """Turning edges round gives the users of each name."""
    assert turned({"a": ["x", "y"], "b": ["x"]}) == {"x": {"a", "b"}, "y": {"a"}}


def test_referents_come_first() -> None:
    """Each key comes after those it names; unknown names are left out, cycles do not hang."""
    order = referents_first({"c": {"b", "gone"}, "b": {"a"}, "a": set(), "x": {"y"}, "y": {"x"}})
    assert order.index("a") < order.index("b") < order.index("c")
    assert sorted(order) == ["a", "b", "c", "x", "y"]


def test_long_chains_do_not_exhaust_the_stack() -> None:
    """Ten thousand names in a row are walked without recursion."""
    chain = {f"k{at}": {f"k{at - 1}"} if at else set() for at in reversed(range(10_000))}
    assert referents_first(chain) == [f"k{at}" for at in range(10_000)]
    assert len(reached(["k9999"], chain)) == 10_000
