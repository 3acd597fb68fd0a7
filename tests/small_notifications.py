"""A run that is told of, and one message about it, for tests of channels and of whoever sends to them."""

from __future__ import annotations

from typing import Any

from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import Event, Judged, Run, Start, Tick, guards_of, step
from rollout_server.domain.notification import Notification, notification_of
from rollout_server.domain.rollouts import Escalation, PipelineSpec, Stage

AT_MS = 1_796_083_200_000  # 2026-12-01 00:00:00 UTC
TICK_MS = 10_000
PIPELINE = PipelineSpec(
    stages=(Stage("canary", 10_000, soak_ms=3_600_000), Stage("quarter", 250_000)),
    guardrails=(Guardrail("checkout.errors", AbsoluteLimit(0.01), Action.ROLLBACK),),
    escalation=(Escalation(0, "team"), Escalation(900_000, "pager")),
)
SCHEDULED = Run(
    rollout="checkout-v2-launch",
    flag="checkout-v2",
    from_variant="off",
    to_variant="on",
    number=2,
    pipeline=PIPELINE,
    guards=guards_of(PIPELINE),
)


def after(*events: Event, run: Run = SCHEDULED) -> Run:
    """The run after these."""
    for event in events:
        run, _ = step(run, event)
    return run


STARTED = after(Start("mia@example.com", AT_MS))


def tick(run: Run, *, ticks: int = 1, standing: Standing = Standing.BLIND, sentence: str = "") -> Run:
    """Let time pass; the guard says this at each tick."""
    for number in range(1, ticks + 1):
        now_ms = max(run.changed_at_ms, run.progress.last_tick_ms or 0) + TICK_MS
        judged = Judged("checkout.errors", standing, sentence)
        run = after(Tick(now_ms, TICK_MS, (judged,)), run=run)
        assert number <= ticks
    return run


def broken(run: Run = STARTED) -> Run:
    """The run, rolled back by the engine."""
    return tick(run, standing=Standing.DEGRADED, sentence="checkout.errors is 2.1 %, above 1 %")


def message(run: Run | None = None, **more: Any) -> Notification:
    """What a run's last notice says, of production."""
    run = run or tick(STARTED)
    return notification_of("production", run, run.notices[-1], **more)
