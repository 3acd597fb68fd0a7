"""What came in of a run since it was judged last: sums of windows that the watermark has passed, and who reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app import process_losses
from rollout_server.app.reporting import Reporting
from rollout_server.domain.guardrails.spec import Source
from rollout_server.domain.judging import Found
from rollout_server.domain.telemetry import PROCESS_LOST, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_sdk.engine.model import RolloutState
    from rollout_server.app.census import Census
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.read_metrics import ReadMetrics
    from rollout_server.domain.guardrails.data import ExposureSums
    from rollout_server.domain.judging import Evidence, Watched
    from rollout_server.ports import Clock


@dataclass(frozen=True, slots=True)
class Sources:
    """Where evidence of one environment comes from.

    Attributes:
        clock: the server's; processes connect by it.
        metrics: what Prometheus counts.
    """

    ingest: IngestTelemetry
    instances: Census
    clock: Clock
    metrics: ReadMetrics

    def reporting(self) -> Reporting:
        """Return who reports, for one tick."""
        return Reporting(self.ingest, self.instances, self.clock)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came in.

    Attributes:
        found: by metric.
        exposures: newly exposed units, and the last window that is in them.
    """

    found: Mapping[str, Found]
    exposures: tuple[Sequence[ExposureSums], int]


async def gather(
    sources: Sources, reporting: Reporting, state: RolloutState, guards: Sequence[Watched], evidence: Evidence
) -> Gathered:
    """Read what may be judged now.

    Args:
        sources: of the environment.
        reporting: of this tick.
        state: of the rollout, as SDKs see it.
        guards: of its run.
        evidence: says what was judged.

    Raises:
        Unavailable: the telemetry store is away.
    """
    run, store = RunId(state.rollout, state.run), sources.ingest.store
    # Time goes on while the store answers: were each read up to a moment of its own, a verdict would be told with units
    # of an earlier look than its outcomes.
    passed = sources.ingest.watermarks(0, *(guard.metric.late_ms for guard in guards if guard.metric is not None))
    through = passed[0]
    exposures = await store.exposures(run, evidence.judged.get("", -1), through)
    found: dict[str, Found] = {}
    for guard in guards:
        key, metric = guard.guardrail.metric, guard.metric
        if metric is None or key in found:
            continue
        after = evidence.judged.get(key, -1)
        if key == PROCESS_LOST:
            windows = process_losses.sums_of(state, await store.processes(after, through))
            found[key] = Found(windows, passed=through)
        elif metric.source is Source.SDK:
            last = passed[metric.late_ms]
            sums = await store.sums(run, key, after, last)
            found[key] = Found(sums, await reporting.up_to(last), last)
    prometheus = {
        guard.guardrail.metric: guard.metric
        for guard in guards
        if guard.metric is not None and guard.metric.source is Source.PROMETHEUS
    }
    counted = await sources.metrics.read(state, prometheus, evidence.judged)
    return Gathered({**found, **counted}, (exposures, through))
