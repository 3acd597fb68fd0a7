"""What came in of a run since it was judged last: sums of windows that the watermark has passed, and who reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app import process_losses
from rollout_server.app.reporting import who_reports
from rollout_server.domain.guardrails.look import Feed
from rollout_server.domain.guardrails.spec import Source
from rollout_server.domain.judging import Found
from rollout_server.domain.telemetry import PROCESS_LOST, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_sdk.engine.model import RolloutState
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.instances import Instances
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
    instances: Instances
    clock: Clock
    metrics: ReadMetrics


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came in.

    Attributes:
        found: by metric.
        exposures: newly exposed units, and the last window that is in them.
    """

    found: Mapping[str, Found]
    exposures: tuple[Sequence[ExposureSums], int]


async def gather(sources: Sources, state: RolloutState, guards: Sequence[Watched], evidence: Evidence) -> Gathered:
    """Read what may be judged now.

    Args:
        sources: of the environment.
        state: of the rollout, as SDKs see it.
        guards: of its run.
        evidence: says what was judged.

    Raises:
        Unavailable: the telemetry store is away.
    """
    run, store = RunId(state.rollout, state.run), sources.ingest.store
    through = sources.ingest.watermark(0)
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
            passed = sources.ingest.watermark(metric.late_ms)
            sums = await store.sums(run, key, after, passed)
            found[key] = Found(sums, await _feed(sources, passed), passed)
    prometheus = {
        guard.guardrail.metric: guard.metric
        for guard in guards
        if guard.metric is not None and guard.metric.source is Source.PROMETHEUS
    }
    counted = await sources.metrics.read(state, prometheus, evidence.judged)
    return Gathered({**found, **counted}, (exposures, through))


async def _feed(sources: Sources, passed: int) -> Feed:
    """Tell a quiet night from blindness: who should have reported all up to the watermark, and who did."""
    ingest = sources.ingest
    since_ms = (passed + 1) * ingest.clock.window_ms
    connected_by_ms = sources.clock.now_ms() - max(0, ingest.clock.now_ms() - since_ms)
    heard = await ingest.store.heard(since_ms)
    seen = who_reports(sources.instances.known(), heard, since_ms=since_ms, connected_by_ms=connected_by_ms)
    return Feed(seen.expected, seen.reporting)
