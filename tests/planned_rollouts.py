"""Plans of a rollout over small states, made as people make them."""

from __future__ import annotations

from collections.abc import Iterable

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_server.domain.calendar import parse_moment_ms
from rollout_server.domain.journal import State
from rollout_server.domain.rollout_pace import Traffic
from rollout_server.domain.rollout_plan import Ground, RolloutPlan, RolloutPlanning
from rollout_server.domain.ruleset import ruleset_of

NOW_MS = parse_moment_ms("2026-11-20T03:00:00Z") or 0
TICK_MS = 5_000


def ground(state: State, traffic: Traffic | None = None, now_ms: int = NOW_MS) -> Ground:
    ruleset = ruleset_of(state)
    return Ground(state, ruleset, compile_ruleset(ruleset), now_ms, TICK_MS, traffic)


def planned(
    state: State,
    population: Iterable[Context] = (),
    traffic: Traffic | None = None,
    *,
    rollout: str = "launch",
    is_synthetic: bool = False,
    now_ms: int = NOW_MS,
) -> RolloutPlan:
    planning = RolloutPlanning(ground(state, traffic, now_ms), rollout)
    for context in population:
        planning.add(context)
    return planning.result(is_synthetic=is_synthetic)


def users(count: int, **attributes: object) -> list[Context]:
    return [Context(f"user-{at}", **attributes) for at in range(count)]
