"""A population made up from what flags ask."""

import pytest

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context, from_json, to_json
from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    Arm,
    ByRollout,
    InCohort,
    Leaf,
    Not,
    Origin,
    Reach,
    RolloutState,
    Rule,
)
from rollout_server.domain.synthetic import members_of, synthetic
from tests.small_state import EMPTY, applied, cohort_document, flag_document
from tests.small_world import cohort, flag, leaf, requires, ruleset, serve, target


def contexts(world: object, *flags: str, count: int = 400, seed: int = 0) -> list[Context]:
    return list(synthetic([world], flags, {"user": ("listed-1", "listed-2")}, count, seed))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "asked",
    [
        leaf("c", "equals", "KR"),
        leaf("c", "in", ("KR", "TH")),
        leaf("b", "equals", operand=True),
        leaf("e", "starts_with", ("ab", "cd")),
        leaf("e", "ends_with", "@x.com"),
        leaf("e", "contains", "mid"),
        leaf("e", "regex", "^abc"),
        leaf("n", "<", 10),
        leaf("n", ">=", 2.5),
        leaf("n", "between", (3, 4)),
        leaf("v", "semver", ">=1.2.0 <2"),
        leaf("d", "before", "2026-12-01T09:00:00+09:00"),
        leaf("d", "after", "2026-12-01T09:00:00+09:00"),
        leaf("x", "exists", operand=True),
        leaf("x", "exists", operand=False),
        leaf("x", "type", "string"),
        leaf("t", "any_of", ("a", "b")),
        leaf("t", "all_of", ("a", "b")),
        leaf("t", "none_of", ("a", "b")),
        leaf("t", "size", (1, 2)),
        leaf("i", "cidr", ("10.0.0.0/8", "2001:db8::/32")),
        leaf("n", "modulo", (4, 1)),
        leaf("user", "in", ("listed-9",), is_unit=True),
        InCohort("beta"),
    ],
)
def test_contexts_fall_on_both_sides_of_every_question(asked: Leaf | InCohort) -> None:
    """Whatever operator a rule uses, some contexts match it and some do not."""
    world = ruleset(flag("f", serve("on", asked)), cohort("beta", when=leaf("p", "equals", "pro")))
    decide = compile_ruleset(world).bind(Origin()).decide
    assert {decide("f", context).variant for context in contexts(world, "f")} == {"on", "off"}


def test_what_rollouts_ask_is_asked() -> None:
    """Audiences of entered stages and the rollout's never fall on both sides too."""
    state = RolloutState(
        "launch",
        "f",
        1,
        "off",
        "on",
        salt16("launch"),
        reaches=(Reach("pilots", PPM, leaf("plan", "equals", "pro")),),
        never=(leaf("country", "equals", "KR"),),
    )
    world = ruleset(flag("f", Rule("launch", ByRollout("launch"))), state)
    decide = compile_ruleset(world).bind(Origin()).decide
    found = {(decide("f", one).variant, decide("f", one).arm) for one in contexts(world, "f")}
    assert found == {("on", Arm.CANDIDATE), ("off", None)}


def test_the_same_seed_gives_the_same_contexts() -> None:
    """No chance is involved; another seed gives others, and each context depends on its own number only."""
    world = ruleset(flag("f", serve("on", leaf("c", "in", ("KR", "TH", "JP")))))
    texts = [to_json(context) for context in contexts(world, "f")]
    assert texts == [to_json(context) for context in contexts(world, "f")]
    assert texts[:50] == [to_json(context) for context in contexts(world, "f", count=50)]
    assert texts != [to_json(context) for context in contexts(world, "f", seed=1)]
    assert texts[0] == '{"units":{"user":"listed-1"},"attributes":{"c":"JPx"}}'


def test_units_are_synthetic_listed_and_sometimes_missing() -> None:
    """Members of targets and cohorts are met, most units are new, and some contexts have none."""
    world = ruleset(flag("f", targets=(target("on", "named"),)))
    keys = [context.units.get("user") for context in contexts(world, "f")]
    assert {"named", "listed-1", "listed-2", None} <= set(keys)
    assert len(set(keys)) > 200


def test_parents_and_cohorts_are_asked_too() -> None:
    """What decides for the flag is drawn from at any remove; strangers are not."""
    world = ruleset(
        flag("f", serve("on"), requires=(requires("parent"),)),
        flag("parent", serve("on", All((Not(InCohort("outer")), Any((leaf("near", "equals", 1),)))))),
        flag("stranger", serve("on", leaf("far", "equals", 1)), unit="device"),
        cohort("outer", when=InCohort("inner")),
        cohort("inner", ["t"], unit="tenant", when=leaf("deep", "equals", 1)),
    )
    seen = contexts(world, "f", count=100)
    assert {name for context in seen for name in context.attributes} == {"near", "deep"}
    assert {kind for context in seen for kind in context.units} == {"user", "tenant"}


def test_rings_end() -> None:
    """Cohorts and flags that name themselves do not hang the search."""
    world = ruleset(flag("f", serve("on", InCohort("x")), requires=(requires("f"),)), cohort("x", when=InCohort("x")))
    assert len(contexts(world, "f", count=3)) == 3


def test_contexts_can_be_said_in_json() -> None:
    """What is made up can be written to a file and read again."""
    world = ruleset(flag("f", serve("on", Any((leaf("t", "any_of", ("a", 1)), leaf("x", "type", "null"))))))
    for context in contexts(world, "f", count=50):
        assert to_json(from_json(to_json(context))) == to_json(context)


def test_members_are_the_raw_keys_of_targets_and_cohorts() -> None:
    """By kind of unit; rulesets hold hashes only, so they come from the state."""
    state = applied(
        EMPTY,
        flag_document("f", targets={"on": ["u-1"]}),
        cohort_document("c", "t-1", unit="tenant", exclude=["t-2"]),
    )
    assert members_of(state) == {"user": ("u-1",), "tenant": ("t-1", "t-2")}
