"""The condition tree between its message and the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import All, Any, Condition, InCohort, Leaf, Not, OnMissing
from rollout_sdk.wire.condition_tree import ConditionReader, write_condition
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2

LEAVES = st.sampled_from(
    [
        Leaf("country", "equals", "TH"),
        Leaf("plan.tier", "in", ("pro", "team"), ignore_case=True),
        Leaf("age", "between", (18, 65.5), on_missing=OnMissing.NO_MATCH),
        Leaf("user", "equals", "u-1", is_unit=True, on_missing=OnMissing.MATCH),
        Leaf("beta", "exists", True),
        InCohort("staff"),
    ]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, max_size=3).map(tuple).flatmap(lambda parts: st.sampled_from([All(parts), Any(parts)]))
    ),
    max_leaves=10,
)


@given(TREES)
def test_what_is_written_is_read_back(tree: Condition) -> None:
    """read(write(x)) = x for every kind of node."""
    assert ConditionReader().read(write_condition(tree), "when") == tree


def nested(depth: int) -> resources_pb2.Condition:
    tree: Condition = Leaf("a", "exists", True)
    for _ in range(depth - 1):
        tree = Not(tree)
    return write_condition(tree)


def test_depth_is_bounded_at_twice_what_makers_may_publish() -> None:
    """A reader takes twice the maker's limit and not one more."""
    most = limits.READERS_FACTOR * limits.CONDITION_DEPTH
    ConditionReader().read(nested(most), "when")
    with pytest.raises(WireError, match="nest deeper"):
        ConditionReader().read(nested(most + 1), "when")


def test_nodes_are_bounded_at_twice_what_makers_may_publish() -> None:
    """A wide tree costs no more than a deep one."""
    most = limits.READERS_FACTOR * limits.CONDITION_NODES
    leaf = Leaf("a", "exists", True)
    reader = ConditionReader()
    reader.read(write_condition(All((leaf,) * (most - 1))), "when")
    with pytest.raises(WireError, match="more than 2000 nodes"):
        reader.read(write_condition(All((leaf,) * most)), "when")


@pytest.mark.parametrize(
    ("leaf", "error"),
    [
        (resources_pb2.Leaf(operator="equals", operand_json="1"), "neither attribute nor unit"),
        (resources_pb2.Leaf(attribute="a", operator="telepathy", operand_json="1"), "no operator"),
        (resources_pb2.Leaf(attribute="a", operator="equals"), "not JSON"),
        (resources_pb2.Leaf(attribute="a", operator="equals", operand_json="null"), "neither scalar nor list"),
        (resources_pb2.Leaf(attribute="a", operator="in", operand_json="[[1]]"), "list in a list"),
        (resources_pb2.Leaf(attribute="a", operator="between", operand_json="[1]"), "leaf"),
    ],
)
def test_a_leaf_that_cannot_be_evaluated_exactly_is_refused(leaf: resources_pb2.Leaf, error: str) -> None:
    """Blank and unknown never match by accident: they refuse the record, with the place."""
    with pytest.raises(WireError, match=f"^leaf.*{error}|{error}" if error != "leaf" else "^leaf"):
        ConditionReader().read(resources_pb2.Condition(leaf=leaf), "leaf")


def test_an_unknown_on_missing_is_refused() -> None:
    """A later release's meaning is not guessed."""
    leaf = resources_pb2.Leaf(attribute="a", operator="exists", operand_json="true")
    leaf.on_missing = resources_pb2.OnMissing.ValueType(9)
    with pytest.raises(WireError, match="on_missing 9"):
        ConditionReader().read(resources_pb2.Condition(leaf=leaf), "when")


def test_an_empty_node_is_refused() -> None:
    """A kind of node that is not known looks empty; it must not count as true."""
    with pytest.raises(WireError, match="does not know"):
        ConditionReader().read(resources_pb2.Condition(), "when")
