"""Paths."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.paths import child, resolve

TREE = {"spec": {"rules": [{"when": {"all": [1, 2]}}], "variants": {"a.b": 1, "a": {"b": 2}, 'x "y"': 3, "<=": 4}}}


@pytest.mark.parametrize(
    "steps",
    [
        ("spec", "rules", 0, "when", "all", 1),
        ("spec", "variants", "a.b"),
        ("spec", "variants", "a", "b"),
        ("spec", "variants", 'x "y"'),
        ("spec", "variants", "<="),
        (),
    ],
)
def test_a_path_leads_back_to_its_steps(steps: tuple[str | int, ...]) -> None:
    """Whatever a name holds, its path finds it again."""
    path = ""
    for step in steps:
        path = child(path, step)
    assert resolve(TREE, path) == steps


def test_names_with_dots_are_found_however_they_are_written() -> None:
    """The tree decides where a name ends."""
    assert resolve({"variants": {"a.b": 1}}, "variants.a.b") == ("variants", "a.b")
    assert resolve({"variants": {"a": {"b": 1}, "a.b": 1}}, "variants.a.b") == ("variants", "a", "b")


@pytest.mark.parametrize(
    "path", ["spec.nothing", "spec.rules[7].when", "spec.rules[x", 'spec["', "spec.rules.0", "zzz"]
)
def test_a_path_that_does_not_exist_leads_as_far_as_it_can(path: str) -> None:
    """A missing field is told where it belongs."""
    assert resolve(TREE, path) in {(), ("spec",), ("spec", "rules")}
