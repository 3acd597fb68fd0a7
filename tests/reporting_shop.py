"""A run over the real controller, and the one process that reports about it, well or badly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rollout_sdk.engine.model import PPM, Arm
from rollout_server.domain.guardrails.verdict import Verdict
from rollout_server.domain.machine import Run
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, RunId, WindowReport
from tests.rollout_room import ERRORS, Room, documents, guarded, room
from tests.small_environment import document

HEALTHY = {"guardrails": "healthy"}
STAGES: list[dict[str, Any]] = [
    {"name": "canary", "share": "20%", "soak": "3s", "exit": HEALTHY},
    {"name": "half", "share": "50%", "soak": "1h"},
]
PIPELINE = {"guardrails": guarded(), "on_blind": {"hold": "30s", "then": "rollback"}}
RUN = RunId("launch", 1)
FINE = ((100, 10), (400, 40))
BAD_TICKS, GOOD_TICKS = 20, 80


def given(metric: dict[str, Any] | None = None) -> list[Any]:
    found = documents(*STAGES, pipeline=PIPELINE)
    return [document("Metric", "errors", metric) if metric else ERRORS, *found[1:]]


@dataclass
class Shop:
    """The one process that reports, well or badly."""

    stand: Room
    sequence: int = 0
    unit: int = 0

    def units(self, count: int) -> tuple[int, ...]:
        self.unit += count
        return tuple(range(self.unit - count, self.unit))

    def window(
        self,
        candidate: tuple[int, int],
        control: tuple[int, int],
        *,
        age_ms: int = 0,
        silent: Sequence[Arm] = (),
        more: Sequence[ArmReport] = (),
        allocation: int | None = None,
    ) -> WindowReport:
        """Units of both arms, and how many of them failed; a silent arm is exposed, and tells no outcome."""
        run = self.stand.run()
        arms = []
        for arm, (count, bad) in ((Arm.CANDIDATE, candidate), (Arm.CONTROL, control)):
            units = self.units(count)
            place = Place(RUN, allocation or run.allocation, run.entered[-1].share_ppm, "", arm)
            outcomes = tuple(Outcome(unit, float(at < bad)) for at, unit in enumerate(units))
            said = () if arm in silent else (("errors", outcomes),)
            arms.append(ArmReport(place, outcomes=said, exposed=units, reporting=() if arm in silent else units))
        return WindowReport(age_ms, (*arms, *more))

    async def send(self, *windows: WindowReport, sequence: int = 0) -> int:
        self.sequence = sequence or self.sequence + 1
        return await self.stand.ingest.take("t", Report("i", self.sequence, windows))

    async def fine(self, ticks: int = 1) -> Run:
        """Let ticks pass with a tenth of both arms failing, split as the stage says."""
        for _ in range(ticks):
            candidate = 500 * self.stand.run().entered[-1].share_ppm // PPM
            await self.send(self.window((candidate, candidate // 10), (500 - candidate, (500 - candidate) // 10)))
            await self.stand.tick()
        return self.stand.run()

    def verdict(self, guard: str = "errors") -> Verdict:
        """As the last tick saw it."""
        return dict(self.stand.runs.memories[RUN].verdicts)[guard]

    def seen(self) -> int:
        """Outcomes of the candidate that are in the evidence."""
        return self.stand.runs.memories[RUN].evidence.cases["errors"].state.candidate_n


@asynccontextmanager
async def shop(*stands: Any) -> AsyncIterator[Shop]:
    """A run that soaks, with five good windows behind it."""
    async with room(*(stands or given())) as stand:
        stand.connect()
        await stand.start()
        found = Shop(stand)
        await found.fine(5)
        assert stand.run().stage_name == "canary"
        yield found
