from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.dependencies import (
    Node,
    cohorts_of,
    cohorts_of_flag,
    cohorts_of_rollout,
    conditions_of,
    conditions_of_rollout,
    depth_of,
    in_order,
    leaves_of,
    nodes_of,
    references,
    rollouts_of_flag,
)
from rollout_sdk.engine.model import All, Any, Condition, Not, Requirement
from tests.rulesets import by_rollout, cohort, flag, in_cohort, leaf, reach, rollout, serve

A, B = leaf("a", "exists", operand=True), leaf("b", "exists", operand=True)
TREE = All((A, Any((Not(in_cohort("x")), in_cohort("y"))), B))
EDGES = st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7), max_size=4), max_size=8)


def node(number: int) -> Node:
    return ("flag", str(number))


def test_what_a_condition_is_made_of() -> None:
    """Leaves in order, cohorts by key, levels and nodes with the cohorts' own on top."""
    assert list(leaves_of(TREE)) == [A, B]
    assert cohorts_of(TREE) == {"x", "y"}
    assert (depth_of(TREE, {}), nodes_of(TREE, {})) == (4, 7)
    assert (depth_of(TREE, {"x": 10, "y": 1}), nodes_of(TREE, {"x": 10, "y": 1})) == (14, 18)


def test_any_depth_is_walked() -> None:
    """A reader may be handed anything."""
    condition: Condition = A
    for _ in range(50_000):
        condition = Not(condition)
    assert list(leaves_of(condition)) == [A]
    assert depth_of(condition, {}) == nodes_of(condition, {}) == 50_001


def test_what_a_flag_names() -> None:
    """In never and in rules, and the flags that it requires."""
    rules = flag("f", serve(in_cohort("x")), serve(), never=(in_cohort("n"),), requires=(Requirement("p", ("on",)),))
    assert list(conditions_of(rules)) == [in_cohort("n"), in_cohort("x")]
    assert cohorts_of_flag(rules) == {"n", "x"}
    assert references({"f": rules}, {"x": cohort("x", when=in_cohort("y")), "n": cohort("n")}) == {
        ("flag", "f"): (("cohort", "n"), ("cohort", "x"), ("flag", "p")),
        ("cohort", "x"): (("cohort", "y"),),
        ("cohort", "n"): (),
    }


def test_what_a_rollout_names() -> None:
    """In never and in audiences; nothing where it exposes nobody. The flag's rules name the rollout."""
    state = rollout(reach(1), reach(2, in_cohort("b")), never=(in_cohort("a"),))
    assert list(conditions_of_rollout(state)) == [in_cohort("a"), in_cohort("b")]
    assert list(conditions_of_rollout(replace(state, reaches=()))) == []
    assert cohorts_of_rollout(state) == {"a", "b"}
    rules = flag("f", by_rollout("x", in_cohort("n")), serve(), by_rollout("y"))
    assert rollouts_of_flag(rules) == {"x", "y"}
    assert references({"f": rules}, {}, {"x": state}) == {
        ("flag", "f"): (("cohort", "n"), ("rollout", "x"), ("rollout", "y")),
        ("rollout", "x"): (("cohort", "a"), ("cohort", "b")),
    }


@given(edges=EDGES)
def test_order_and_cycles(edges: dict[int, set[int]]) -> None:
    """Every node once, after what it names unless they are on one cycle; on a cycle is what reaches itself."""
    named = {node(key): tuple(node(target) for target in sorted(targets)) for key, targets in edges.items()}

    def reachable(start: Node) -> set[Node]:
        found: set[Node] = set()
        waiting = [target for target in named[start] if target in named]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += [target for target in named[each] if target in named]
        return found

    order, cyclic = in_order(named)
    reached = {each: reachable(each) for each in named}
    assert sorted(order) == sorted(named)
    assert cyclic == {each for each in named if each in reached[each]}
    for each in named:
        for target in reached[each]:
            if each not in reached[target]:
                assert order.index(target) < order.index(each)


def test_a_long_chain_is_ordered() -> None:
    """Without recursion."""
    named = {node(number): (node(number + 1),) for number in range(20_000)}
    order, cyclic = in_order(named)
    assert order[0] == node(19_999)
    assert cyclic == frozenset()
