"""One sentence for where a run is and what it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import Act, Approved, End, Held, HeldKind, Phase, Progress, Run, Trigger
from rollout_server.domain.machine.sentences import duration, sentence
from rollout_server.domain.rollouts import Approval, Exit, Finish, PipelineSpec, Stage
from tests.machine_worlds import scheduled

HOUR_MS = 3_600_000
FRESH = scheduled(
    PipelineSpec(
        (
            Stage("canary", 10_000, soak_ms=HOUR_MS, exit=Exit(approval=Approval("managers", 2))),
            Stage("quarter", 250_000, ramp_ms=2 * HOUR_MS),
        ),
        finish=Finish(watch_ms=24 * HOUR_MS),
    )
)
RUN = enter(FRESH, 0, 0)
SOAKED = replace(RUN, progress=Progress(soak_ms=HOUR_MS, waits_for=("exposed", "healthy")))
RAMP = replace(enter(RUN, 1, 0), progress=Progress(ramp_ms=HOUR_MS // 2, waits_for=("ramp",)))
END = End(Trigger.VERDICT, "engine", "latency is past its limit", 0, "canary", "latency")

SENTENCES: list[tuple[Run, str]] = [
    (FRESH, "launch run 1 has not started"),
    (RUN, "launch run 1 at canary (1 %) has soaked 0m of 1h"),
    (
        SOAKED,
        "launch run 1 at canary (1 %) has soaked 1h of 1h, waits for enough exposed units and healthy guardrails",
    ),
    (RAMP, "launch run 1 at quarter (2.2 %) ramps to 25 %: 30m of 2h"),
    (
        replace(RAMP, progress=Progress(waits_for=("thaw",))),
        "launch run 1 at quarter (2.2 %) ramps to 25 %: 0m of 2h, waits for the thaw",
    ),
    (
        replace(RUN, progress=Progress(soak_ms=65_204)),
        "launch run 1 at canary (1 %) has soaked 1m5s of 1h",
    ),
    (enter(RUN, 2, 0), "launch run 1 at finish (100 %) has watched 0m of 1d"),
    (
        replace(RUN, phase=Phase.HELD, held=Held(HeldKind.BLIND, ("latency",), "latency is blind")),
        "launch run 1 at canary (1 %) is held: latency is blind",
    ),
    (
        replace(RUN, phase=Phase.PAUSED, paused=Act("ann", 0, "odd")),
        "launch run 1 at canary (1 %) is paused by ann: odd",
    ),
    (replace(RUN, phase=Phase.PAUSED, paused=Act("ann", 0)), "launch run 1 at canary (1 %) is paused by ann"),
    (
        replace(RUN, phase=Phase.AWAITING_APPROVAL, approvals=(Approved("ann", "canary", 0),)),
        "launch run 1 at canary (1 %) waits for approval from managers: 1 of 2 given",
    ),
    (replace(enter(RUN, 2, 0), phase=Phase.COMPLETED), "launch run 1 at finish (100 %) is completed"),
    (
        replace(enter(RUN, 2, 0), phase=Phase.COMPLETED, is_finished=True),
        "launch run 1 at finish (100 %) is finished",
    ),
    (
        replace(RUN, phase=Phase.ROLLED_BACK, end=END),
        "launch run 1 at canary (1 %) was rolled back by engine: latency is past its limit",
    ),
    (
        replace(FRESH, phase=Phase.CANCELLED, end=End(Trigger.PERSON, "ann", "", 0)),
        "launch run 1 was cancelled by ann",
    ),
]


@pytest.mark.parametrize(("run", "wanted"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_run_says_where_it_is(run: Run, wanted: str) -> None:
    """Whoever reads it needs no other line to know what is going on."""
    assert sentence(run) == wanted


def test_every_phase_has_its_sentence() -> None:
    """None is left out."""
    assert {run.phase for run, _ in SENTENCES} == set(Phase)


def test_durations_are_short() -> None:
    """Two units at most, as files write them."""
    spans = {0: "0m", 1: "1ms", 1_500: "1s500ms", 90_000: "1m30s", 5_400_000: "1h30m", 90_061_001: "1d1h"}
    assert {span: duration(span) for span in spans} == spans
