"""The rules of the compiled engine as objects; that they answer as closures do is tested in `test_generated`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.generated import Ready
from rollout_sdk.engine.model import All, Condition, Not, OnMissing
from rollout_sdk.engine.rows import rows
from tests.rulesets import leaf

DEFAULT, NO_UNIT = 100, 101


def ready(*conditions: Condition) -> list[Ready]:
    """Rules that serve 0, 1, 2 ..."""
    return [Ready(when, compile_condition(when, {}), number, None) for number, when in enumerate(conditions)]


@pytest.mark.parametrize(
    "when",
    [
        leaf("plan.tier", "equals", "gold"),
        replace(leaf("user", "equals", "u-1"), is_unit=True),
        replace(leaf("x", "equals", "a"), ignore_case=True),
        replace(leaf("x", "equals", "a"), on_missing=OnMissing.MATCH),
        leaf("x", "<", 2.5),
        leaf("x", "ends_with", ("a", "b")),
        leaf("x", "in", (1, 2)),
        Not(leaf("x", "equals", "a")),
    ],
    ids=str,
)
def test_what_is_not_written_out_is_left_to_closures(when: Condition) -> None:
    """Where there is nothing else, rows would only stand in their way."""
    assert rows(ready(when), {}, DEFAULT, NO_UNIT) is None
    assert rows(ready(when, leaf("x", "equals", "a")), {}, DEFAULT, NO_UNIT) is not None


def test_a_condition_of_many_parts_asks_each_of_them() -> None:
    """Those that are written out and those that are not."""
    both = All((leaf("x", "equals", "a"), leaf("plan.tier", "equals", "gold")))
    function = rows(ready(both), {}, DEFAULT, NO_UNIT)
    assert function is not None
    assert function(Context("u-1", x="a", plan={"tier": "gold"})) == 0
    assert function(Context("u-1", x="a", plan={"tier": "iron"})) == DEFAULT
    assert function(Context("u-1", x="b", plan={"tier": "gold"})) == DEFAULT
