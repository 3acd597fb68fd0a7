"""Where a rollout stands, between its message and the model."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import All, InCohort, Leaf, Not, Reach, RolloutState
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.rollouts import read_rollout, write_rollout
from rollout_sdk.wire.v1 import resources_pb2, ruleset_pb2

Change = Callable[[ruleset_pb2.RolloutState], object]

FULL = RolloutState(
    rollout="launch",
    flag="checkout",
    run=3,
    from_variant="off",
    to_variant="ü",
    salt="0123456789abcdef",
    unit="tenant",
    reaches=(Reach("staff", 1_000_000, All((InCohort("staff"), Not(Leaf("a", "in", ("x", "y")))))), Reach("canary", 0)),
    never=(InCohort("barred"), Leaf("b", "exists", operand=True)),
    allocation=7,
    stage="canary",
    strata=("tenant", "plan.tier"),
)


@pytest.mark.parametrize(
    "state", [FULL, replace(FULL, reaches=(), never=()), RolloutState("x", "f", 0, "a", "b", "s" * 16)]
)
def test_what_is_written_is_read_back(state: RolloutState) -> None:
    """read(write(x)) = x."""
    assert read_rollout(write_rollout(state)) == state


def test_a_never_that_cannot_be_read_is_left_out_where_nobody_is_exposed() -> None:
    """It could only stand in the way of a rollback."""
    back = replace(FULL, reaches=())
    assert read_rollout(write_rollout(back)) == back
    message = write_rollout(back)
    message.never.append(resources_pb2.Condition())
    assert read_rollout(message) == replace(back, never=())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: m.ClearField("flag"), "flag is blank"),
        (lambda m: m.ClearField("from_variant"), "from_variant is blank"),
        (lambda m: m.ClearField("to_variant"), "to_variant is blank"),
        (lambda m: setattr(m, "law", 2), "bucketing law 2"),
        (lambda m: m.ClearField("law"), "bucketing law 0"),
        (lambda m: setattr(m, "salt", "short"), "5 characters"),
        (lambda m: setattr(m, "salt", "ü" * 16), "of ASCII"),
        (lambda m: setattr(m.reaches[1], "share_ppm", 1_000_001), "reaches.1.: a share of 1000001"),
        (lambda m: m.reaches[1].audience.SetInParent(), "reaches.1..audience: a condition of a kind"),
        (lambda m: m.reaches[0].audience.all.conditions.add(), "reaches.0..audience.all.2."),
        (lambda m: m.never.append(resources_pb2.Condition()), "never.2."),
        (lambda m: m.reaches.extend([m.reaches[1]] * limits.STAGES_PER_PIPELINE * 2), "130 reaches"),
        (lambda m: m.never.extend([m.never[1]] * limits.NEVER_PER_FLAG * 2), "130 never"),
    ],
)
def test_what_cannot_be_told_exactly_is_refused_and_its_rollback_is_not(change: Change, error: str) -> None:
    """Of a state that exposes nobody only the names are looked at."""
    message = write_rollout(FULL)
    change(message)
    with pytest.raises(WireError, match=error):
        read_rollout(message)
    message.ClearField("reaches")
    assert read_rollout(message).reaches == ()
