"""Plan a rollout: when each stage is entered at the earliest, by whom, and how long its guardrails take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.contexts import read_contexts
from rollout_server.app.find_rollout import find_rollout
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.spec import MetricSpec, Source
from rollout_server.domain.resources import RolloutStatus
from rollout_server.domain.rollout_pace import Traffic
from rollout_server.domain.rollout_plan import Ground, RolloutPlan, RolloutPlanning
from rollout_server.domain.synthetic import members_of, synthetic
from rollout_server.domain.telemetry import RunId
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_server.app.environment import Environment
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.rollout_view import Known
    from rollout_server.domain.guardrails.data import ExposureSums, WindowSums
    from rollout_server.domain.resources import Resource, ResourceId

SYNTHETIC_COUNT_MAX = 100_000
LISTED_MAX = 1_000
RECENT_WINDOWS = 60


@dataclass(frozen=True, slots=True)
class PlanRolloutQuestion:
    """How would this rollout go?

    Attributes:
        target: the rollout's key, or its flag's.
        synthetic_count: without a population, this many contexts made from what the flag and the stages ask.
        listed_max: unit keys listed for each stage and arm, at most `LISTED_MAX`.
    """

    target: str
    synthetic_count: int = 0
    listed_max: int = 10


class RolloutPlanSession:
    """A plan of a rollout while its population is streamed in. For one thread at a time, any thread."""

    def __init__(self, question: PlanRolloutQuestion, ground: Ground, rollout: str) -> None:
        """Drive the machine; see `open_rollout_plan`."""
        self._question = question
        self._ground = ground
        self._planning = RolloutPlanning(ground, rollout)

    def feed(self, contexts_json: Iterable[str]) -> None:
        """Count contexts.

        Raises:
            InvalidInput: contexts that do not parse, by their number in the whole population, counted from 1.
        """
        for context in read_contexts(contexts_json, self._planning.contexts + 1):
            self._planning.add(context)

    def finish(self) -> RolloutPlan:
        """Return the plan; over a synthetic population where none was fed."""
        is_synthetic = not self._planning.contexts
        if is_synthetic:
            count = min(self._question.synthetic_count, SYNTHETIC_COUNT_MAX)
            members = members_of(self._ground.state)
            for context in synthetic(self._planning.rulesets, (self._planning.flag,), members, count):
                self._planning.add(context)
        return self._planning.result(is_synthetic=is_synthetic)


async def open_rollout_plan(
    environment: Environment, ingest: IngestTelemetry, known: Known, question: PlanRolloutQuestion, tick_ms: int
) -> RolloutPlanSession:
    """Look up all that a plan of a rollout stands on.

    Args:
        environment: where.
        ingest: its telemetry, for recent traffic.
        known: what ticks learned of its runs: a run's soak is in no entry of the journal.
        question: what.
        tick_ms: of the controller.

    Raises:
        NotFound: there is no such rollout, or its pipeline is gone.
        Refused: "ambiguous", the flag has several rollouts.
        Unavailable: the store is away.
    """
    moment = await environment.moment()
    resources = moment.state.resources
    rollout = find_rollout(resources, question.target)
    run = rollout.status.run if isinstance(rollout.status, RolloutStatus) and rollout.status.is_active else None
    ground = Ground(
        state=moment.state,
        ruleset=moment.ruleset,
        compiled=moment.compiled,
        now_ms=environment.clock.now_ms(),
        tick_ms=tick_ms,
        traffic=await recent_traffic(resources, ingest),
        listed_max=max(0, min(question.listed_max, LISTED_MAX)),
        progress=None if run is None else (await known(run)).progress,
    )
    return await asyncio.to_thread(RolloutPlanSession, question, ground, rollout.metadata.key)


async def recent_traffic(resources: Mapping[ResourceId, Resource], ingest: IngestTelemetry) -> Traffic | None:
    """Return what came in during the last hour of windows; None where nothing did, or the store is away.

    Outcomes are summed by run. Of each metric, the run that saw most of it stands for the environment's traffic.

    Args:
        resources: of the environment.
        ingest: its telemetry.
    """
    metrics = {
        id_.key for id_, one in resources.items() if isinstance(one.spec, MetricSpec) and one.spec.source is Source.SDK
    }
    through = ingest.watermark(0)
    after = through - RECENT_WINDOWS
    sums: dict[str, Cell] = {}
    units = 0.0
    try:
        for run in _runs(resources):
            units = max(units, _units(await ingest.store.exposures(run, after, through)))
            for metric in metrics:
                found = _total(await ingest.store.sums(run, metric, after, through))
                if found.n > sums.get(metric, Cell()).n:
                    sums[metric] = found
    except Unavailable:
        return None
    return Traffic(ingest.store.window_ms, RECENT_WINDOWS, units, sums) if sums else None


def _runs(resources: Mapping[ResourceId, Resource]) -> list[RunId]:
    return [
        RunId(id_.key, one.status.run.number)
        for id_, one in resources.items()
        if isinstance(one.status, RolloutStatus) and one.status.run is not None
    ]


def _total(windows: tuple[WindowSums, ...]) -> Cell:
    total = Cell()
    for one in windows:
        total = total + one.candidate + one.control
    return total


def _units(windows: tuple[ExposureSums, ...]) -> float:
    return sum((one.candidate.exposed + one.control.exposed) * 1e6 / max(1, one.kept_ppm) for one in windows)
