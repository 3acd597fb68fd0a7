"""Rollouts as the server would answer them, for tests of the commands that show and drive them."""

from __future__ import annotations

from typing import Any

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from tests.doubles.command_line import NOW_MS

MINUTE_MS = 60_000
ENTRY = pb.Entry(revision=7, action="start", actor="mia (a1b2c3d4)")


def guardrail(name: str = "shop.failed", standing: str = "healthy", **more: Any) -> pb.GuardrailStatus:
    fields: dict[str, Any] = {
        "name": name,
        "metric": name,
        "action": "rollback",
        "standing": standing,
        "sentence": f"{name} +0.3 % [-1.5, +2.1] is {standing}",
        "estimate": 0.0031,
        "low": -0.0146,
        "high": 0.0209,
        "limit": 0.02,
        "is_relative": True,
    }
    return pb.GuardrailStatus(**{**fields, **more})


def stages(here: int = 1, soaked_ms: int = 33 * MINUTE_MS) -> list[pb.StageStatus]:
    names = (("staff", "cohort staff", 1_000_000), ("quarter", "everyone", 250_000), ("full", "everyone", 950_000))
    states = [pb.STAGE_STATE_DONE] * here + [pb.STAGE_STATE_HERE] + [pb.STAGE_STATE_AHEAD] * 3
    found = [
        pb.StageStatus(
            name=name, audience=audience, share_ppm=share, state=states[at], soak_ms=60 * MINUTE_MS,
            soaked_ms=soaked_ms if at == here else 0, waits_for=["soak"] if at == here else [],
            healthy_wanted=name == "full", approval_from="managers" if name == "full" else "",
            approval_count=1 if name == "full" else 0,
        )
        for at, (name, audience, share) in enumerate(names)
    ]  # fmt: skip
    return [*found, pb.StageStatus(name="finish", audience="everyone", share_ppm=1_000_000, state=states[3])]


def launch(phase: str = "running", stage: str = "quarter", **more: Any) -> pb.Rollout:
    fields: dict[str, Any] = {
        "key": "launch",
        "flag": "checkout",
        "owner": "payments",
        "from_variant": "off",
        "to_variant": "on",
        "run": 3,
        "phase": phase,
        "sentence": f"launch run 3 at {stage} (25 %) has soaked 33m of 1h",
        "stage": stage,
        "share_ppm": 250_000,
        "exposed_units": 4_812,
        "control_units": 14_436,
        "unit": "user",
        "stages": stages(),
        "guardrails": [guardrail(), guardrail("shop.latency", "undecided")],
        "started": pb.Act(who="mia", at_ms=NOW_MS - 352 * MINUTE_MS),
        "changed_at_ms": NOW_MS - 132 * MINUTE_MS,
        "pipeline": "careful",
        "instances_connected": 216,
        "instances_behind": 2,
        "version": 7,
    }
    return pb.Rollout(**{**fields, **more})


def got(*rollouts: pb.Rollout) -> list[pb.GetRolloutResponse]:
    return [pb.GetRolloutResponse(rollout=one, position=Position(revision=7)) for one in rollouts]


def moved(rollout: pb.Rollout, entry: pb.Entry | None = ENTRY) -> pb.Moved:
    return pb.Moved(entry=entry, rollout=rollout, position=Position(revision=7))
