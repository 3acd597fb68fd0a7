"""Small flags and cohorts for tests of the SDK."""

from __future__ import annotations

from dataclasses import replace

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.model import (
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    InCohort,
    Leaf,
    Not,
    OnMissing,
    Position,
    Reach,
    Requirement,
    RolloutState,
    Rule,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)

EPOCH = "epoch-1"


def position(revision: int, epoch: str = EPOCH) -> Position:
    """A position whose chain digest follows from it."""
    return Position(epoch, revision, f"{epoch}:{revision}".encode().ljust(32, b".")[:32])


def boolean(key: str, *, on: bool = True, rules: tuple[Rule, ...] = (), never: tuple[Condition, ...] = ()) -> Flag:
    """A boolean flag that serves `on` by default."""
    return Flag(
        key=key,
        type=ValueType.BOOLEAN,
        variants=(Variant("on", True), Variant("off", False)),
        off="off",
        default="on" if on else "off",
        salt=salt16(key),
        rules=rules,
        never=never,
    )


def for_cohort(key: str, cohort: str) -> Flag:
    """On for the members of a cohort, off for the rest."""
    return boolean(key, on=False, rules=(Rule("members", Serve("on"), InCohort(cohort)),))


def by_rollout(key: str, rollout: str = "x") -> Flag:
    """Off, but for whom the rollout exposes."""
    return boolean(key, on=False, rules=(Rule("launch", ByRollout(rollout)),))


def rollout(key: str, flag: str, *reaches: Reach) -> RolloutState:
    """From off to on, in these stages."""
    return RolloutState(key, flag, 1, "off", "on", salt16(key), reaches=reaches)


def cohort(key: str, *members: str) -> Cohort:
    """Listed members and nobody else."""
    return Cohort(key, key_set(members), key_set(()))


def broken(flag: Flag) -> Flag:
    """The same flag with an operator that no release knows."""
    return replace(flag, rules=(Rule("future", Serve("off"), Leaf("country", "telepathy", "TH")), *flag.rules))


def full(key: str = "full") -> Flag:
    """A flag with everything a flag can have."""
    return Flag(
        key=key,
        type=ValueType.JSON,
        variants=(Variant("big", {"limit": [1, 2.5, None], "ü": "✓"}), Variant("none", None)),
        off="none",
        default="big",
        salt=salt16(key),
        unit="tenant",
        never=(Not(Any((InCohort("barred"), Leaf("country", "in", ("KR", "TH"))))),),
        requires=(Requirement("parent", ("on", "half")),),
        targets=(Target("big", ("t-1", "t-2")),),
        rules=(
            Rule(
                "quarter",
                Split((Weight("big", 250_000), Weight("none", 750_000))),
                All((Leaf("tenant", "starts_with", "t-", is_unit=True, on_missing=OnMissing.MATCH),)),
            ),
            Rule("name", Serve("none"), Leaf("email", "ends_with", "@EXAMPLE.com", ignore_case=True)),
            Rule("rest", Serve("big")),
        ),
    )
