from __future__ import annotations

from dataclasses import replace

from rollout_sdk.engine.capabilities import CAPABILITIES, needed_by
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Any, Leaf, Not, OnMissing, Rule, Split, ValueType, Weight
from tests.rulesets import bad_leaf, by_rollout, cohort, flag, in_cohort, leaf, reach, rollout, serve, split
from tests.vectors import reader


def test_everything_published_is_within_what_this_release_can() -> None:
    """No vector needs what is not announced."""
    for vector in reader.DECISIONS["decisions"]:
        made = reader.ruleset(vector)
        assert all(needed_by(each, made.cohorts, made.rollouts) <= CAPABILITIES for each in made.flags.values())
        assert compile_ruleset(made).quarantined == {}


def test_what_a_flag_needs_is_found_in_every_place() -> None:
    """never, rules, nested conditions, cohorts of cohorts, laws and modifiers."""
    rules = flag(
        "f",
        serve(Any((Not(Leaf("a", "regex", "x", ignore_case=True)), in_cohort("outer")))),
        split(5),
        never=(Leaf("b", "cidr", "10.0.0.0/8", on_missing=OnMissing.NO_MATCH),),
    )
    cohorts = {
        "outer": cohort("outer", when=in_cohort("inner")),
        "inner": cohort("inner", when=leaf("v", "semver", "1.x")),
    }
    assert needed_by(rules, cohorts) == {
        *("type:boolean", "law:1", "op:regex", "ignore_case", "op:cidr", "on_missing:no_match", "op:semver"),
    }


def test_what_nobody_knows_yet_is_needed_by_name() -> None:
    """So that the server can say which SDK lacks what."""
    rules = replace(
        flag("f", serve(bad_leaf()), Rule("r", Split((Weight("on", 1_000_000),), law=2))), type=ValueType.JSON
    )
    assert needed_by(rules, {}) - CAPABILITIES == {"op:resembles", "law:2"}


def test_a_rollout_needs_what_its_stages_ask() -> None:
    """Whoever reads the flag must read its stages; none of it once nobody is exposed."""
    rules = flag("f", by_rollout())
    state = rollout(reach(5, in_cohort()), never=(leaf("b", "exists", operand=True),), law=7)
    cohorts = {"c": cohort("c", when=leaf("v", "semver", "1.x"))}
    whole = {"type:boolean", "rollout:1", "law:7", "op:exists", "op:semver"}
    assert needed_by(rules, cohorts, {"x": state}) == whole
    assert needed_by(rules, cohorts, {"x": replace(state, reaches=())}) == {"type:boolean", "rollout:1"}
    assert needed_by(rules, cohorts) == {"type:boolean", "rollout:1"} <= CAPABILITIES


def test_cycles_and_missing_cohorts_end() -> None:
    """Whatever the cohorts name."""
    cohorts = {"c": cohort("c", when=Any((in_cohort("c"), in_cohort("gone"), leaf("a", "exists", operand=True))))}
    assert needed_by(flag("f", serve(in_cohort())), cohorts) == {"type:boolean", "op:exists"}
