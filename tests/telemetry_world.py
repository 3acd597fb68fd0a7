"""Reports, intakes and stores in a line, for tests of telemetry."""

from __future__ import annotations

from typing import Any

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import Arm, ByRollout, Flag, Position, Reach, RolloutState, Rule, Ruleset
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell
from rollout_server.domain.telemetry import Intake, Place, RunId
from tests.small_rules import boolean

RUN = RunId("launch", 1)
ERRORS = MetricDeclaration("errors", Measures.PROPORTION, Per.EVENT)
LATENCY = MetricDeclaration("latency", Measures.QUANTILE, Per.EVENT)
ORDERS = MetricDeclaration("orders", Measures.PROPORTION, Per.UNIT)
SLOW = MetricDeclaration("slow", Measures.QUANTILE, Per.UNIT)
LATE = MetricDeclaration("late", Measures.COUNT, Per.EVENT, late_ms=60_000)
METRICS = {each.key: each for each in (ERRORS, LATENCY, ORDERS, SLOW, LATE)}


def place(arm: Arm = Arm.CANDIDATE, **more: Any) -> Place:
    return Place(**{"run": RUN, "allocation": 1, "reach_ppm": 500_000, "stratum": "", "arm": arm, **more})


def cell(n: int = 1, x: float = 0.0, bucket: int = 0) -> Cell:
    """Events of users of one class."""
    ns, xs = [0] * HASH_BUCKETS, [0.0] * HASH_BUCKETS
    ns[bucket], xs[bucket] = n, x
    return Cell(n, x, x, (), tuple(ns), tuple(xs))


def intake(sequence: int = 1, instance: str = "t/i", at_ms: int = 0, **more: Any) -> Intake:
    return Intake(instance, sequence, at_ms, **more)


def launch_flag(key: str = "checkout", rollout: str = "launch") -> Flag:
    """A boolean flag that its rollout answers."""
    return boolean(key, on=False, rules=(Rule("launch", ByRollout(rollout)),))


def launch_state(share_ppm: int = 500_000, **more: Any) -> RolloutState:
    """A running rollout that reaches everybody."""
    fields: dict[str, Any] = {
        "rollout": "launch",
        "flag": "checkout",
        "run": 1,
        "from_variant": "off",
        "to_variant": "on",
        "salt": salt16("launch"),
        "reaches": (Reach("canary", share_ppm),) if share_ppm else (),
        "allocation": 1,
        "stage": "canary",
    }
    return RolloutState(**{**fields, **more})


def launch_ruleset(
    *states: RolloutState, revision: int = 1, metrics: dict[str, MetricDeclaration] | None = None
) -> Ruleset:
    """A plain flag, and one for each rollout."""
    states = states or (launch_state(),)
    flags = {state.flag: launch_flag(state.flag, state.rollout) for state in states} | {"plain": boolean("plain")}
    rollouts = {state.rollout: state for state in states}
    return Ruleset(Position("epoch-1", revision), flags, {}, {}, {}, rollouts, METRICS if metrics is None else metrics)
