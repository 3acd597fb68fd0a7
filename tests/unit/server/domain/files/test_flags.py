"""A flag's spec."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.model import InCohort, Json, Rule, Serve, Split, ValueType, Variant, Weight
from rollout_server.domain.files.flags import BOOLEAN_VARIANTS, read_flag, write_flag
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.resources import FlagSpec

PLAIN = FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off")


def read(tree: object) -> tuple[FlagSpec, list[str]]:
    reading = Reading()
    return read_flag(reading, tree), [str(problem) for problem in reading.problems]


def test_a_boolean_flag_needs_nothing() -> None:
    """On and off, off by default; and nothing is written of it."""
    assert read({}) == (PLAIN, [])
    assert write_flag(PLAIN) == {}
    assert read({"type": "boolean", "variants": {"on": True, "off": False}, "off": "off"}) == (PLAIN, [])


def test_default_is_off_unless_said() -> None:
    """Nobody is exposed by a file that forgot to say so."""
    spec, problems = read({"variants": {"a": 1, "b": 2}, "off": "a"})
    assert problems == []
    assert (spec.type, spec.default) == (ValueType.INTEGER, "a")


def test_the_order_of_a_split_is_kept() -> None:
    """The first variant owns the lowest buckets: another order moves people."""
    tree: Json = {"rules": [{"id": "r", "split": {"on": "25%", "off": "75%"}}]}
    spec, problems = read(tree)
    assert problems == []
    assert spec.rules == (Rule("r", Split((Weight("on", 250_000), Weight("off", 750_000)))),)
    assert json.dumps(write_flag(spec)) == json.dumps(tree)


def test_cohorts_in_never_are_written_by_name() -> None:
    """A name and a condition on it are the same thing, written the short way."""
    spec, problems = read({"never": ["a", {"cohort": "b"}, {"attribute": "x", "exists": True}]})
    assert problems == []
    assert spec.never[:2] == (InCohort("a"), InCohort("b"))
    assert write_flag(spec)["never"] == ["a", "b", {"attribute": "x", "exists": True}]


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (None, "spec: a map (the spec of a flag) is wanted, found nothing"),
        ({"rulez": []}, 'spec.rulez: unknown field "rulez" (did you mean "rules"?)'),
        ({"type": "text"}, 'spec.type: unknown type "text"'),
        ({"type": "string"}, 'spec.variants: the field "variants" is missing'),
        ({"variants": {}}, "spec.variants: a map of at least one variant"),
        ({"variants": {"a": 1}}, 'spec.off: the field "off" is missing'),
        ({"variants": {"a\u200b": 1}, "off": "a"}, "U+200B"),
        ({"off": ["off"]}, "spec.off: a variant is wanted, found a list"),
        ({"default": {}}, "spec.default: a variant is wanted, found a map"),
        ({"type": []}, "spec.type: unknown type: a list"),
        ({"salt": "short"}, "5 characters instead of 16"),
        ({"salt": "ABCDEFGHIJKLMNOP"}, "U+0041"),
        ({"requires": [{"flag": "a"}]}, 'spec.requires[0].variants: the field "variants" is missing'),
        ({"requires": [{"flag": "a", "variants": "on"}]}, "spec.requires[0].variants: a list is wanted"),
        ({"targets": {"on": "user-1"}}, "spec.targets.on: a list is wanted"),
        ({"targets": {"on": [""]}}, "spec.targets.on[0]: the key of a unit is wanted"),
        ({"rules": [{"serve": "on"}]}, 'spec.rules[0].id: the field "id" is missing'),
        ({"rules": [{"id": "a"}]}, "spec.rules[0]: a rule has one of serve, split and rollout, this has none"),
        ({"rules": [{"id": "a", "serve": "on", "split": {"on": "100%"}}]}, "this has serve and split"),
        ({"rules": [{"id": "a", "rollout": "X"}]}, 'spec.rules[0].rollout: "X" cannot be the key of a rollout'),
        ({"rules": [{"id": "a", "rollout": "x", "serve": "on"}]}, "this has serve and rollout"),
        ({"rules": [{"id": "a", "split": {}}]}, "spec.rules[0].split: a map of variants to percentages"),
        ({"rules": [{"id": "a", "split": {"on": "25%", "off": "70%"}}]}, "add up to 95%, not to 100% (5% is missing)"),
        ({"rules": [{"id": "a", "split": {"on": "50%", "off": "50.0001%"}}]}, "(0.0001% too much)"),
        ({"rules": [{"id": "a", "split": {"on": "25", "off": "75%"}}]}, 'spec.rules[0].split.on: "25" is not'),
    ],
)
def test_a_wrong_spec_says_where_and_why(tree: object, said: str) -> None:
    """One mistake, one problem, at its place."""
    _, problems = read(tree)
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(
    "spec",
    [
        FlagSpec(ValueType.BOOLEAN, (Variant("on", True), Variant("on", False)), "on", "on"),
        FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off", rules=(Rule("r", Split((), law=2)),)),
    ],
)
def test_what_no_file_can_say_is_not_written(spec: FlagSpec) -> None:
    """Better an error than a file that means something else."""
    with pytest.raises(ValueError, match=r"twice|law 2"):
        write_flag(spec)


def test_serving_is_written() -> None:
    """A rule without a condition has none in its file."""
    spec = FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "on", rules=(Rule("r", Serve("on")),))
    assert write_flag(spec) == {"default": "on", "rules": [{"id": "r", "serve": "on"}]}
