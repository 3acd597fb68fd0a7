"""Metrics of Prometheus for a run: asked for, all at once, and attributed to its present allocation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from rollout_server.domain.guardrails.look import Feed
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.judging import Found
from rollout_server.domain.metric_source import query_of, sums_of
from rollout_server.domain.telemetry import RunId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import RolloutState
    from rollout_server.app.window_clock import WindowClock
    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.ports import Clock, MetricSource

PATIENCE_MS = 10_000
"""A source has a limit of its own; this one is for a source that breaks its promise."""

_RUNS_MAX = 1_000
_NOTHING_YET = frozenset({Reason.EMPTY, Reason.ONE_ARM})


class _Period(NamedTuple):
    allocation: int
    since_ms: int


class ReadMetrics:
    """Reads for the runs of one environment.

    When an allocation opened is known by this object alone, and only from its first look at it: a restart leaves out
    the windows before it, rather than count for one allocation what may have happened in another.
    """

    def __init__(
        self,
        source: MetricSource | None,
        environment: str,
        clock: Clock,
        windows: WindowClock,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        """Know of no allocation yet.

        Args:
            source: None where this server is told of none.
            environment: its name, for queries.
            clock: of this server; Prometheus' own should agree.
            windows: the clock that windows are counted by.
            patience_ms: for one metric.
        """
        self._source = source
        self._environment = environment
        self._clock = clock
        self._windows = windows
        self._patience_ms = patience_ms
        self._periods: dict[RunId, _Period] = {}

    async def read(
        self, state: RolloutState, metrics: Mapping[str, MetricSpec], judged: Mapping[str, int]
    ) -> dict[str, Found]:
        """Return what came in of each metric, or what is wrong with its source.

        Never raises for what a source does, and takes as long as the slowest of them, at most `patience_ms`.

        Args:
            state: of the rollout, as SDKs see it now.
            metrics: by key, those with source prometheus.
            judged: metric to the last window that is judged.
        """
        since_ms = self._since_ms(state)
        found = await asyncio.gather(
            *(self._found(state, key, spec, judged.get(key, -1), since_ms) for key, spec in metrics.items())
        )
        return dict(zip(metrics, found, strict=True))

    def _since_ms(self, state: RolloutState) -> int:
        run = RunId(state.rollout, state.run)
        period = self._periods.pop(run, None)
        if period is None or period.allocation != state.allocation:
            period = _Period(state.allocation, self._clock.now_ms())
        self._periods[run] = period
        if len(self._periods) > _RUNS_MAX:
            del self._periods[next(iter(self._periods))]
        return period.since_ms

    async def _found(self, state: RolloutState, key: str, spec: MetricSpec, judged: int, since_ms: int) -> Found:
        if self._source is None:
            return Found(feed=Feed(fault=Reason.NO_SOURCE))
        query = query_of(key, spec, state, self._environment)
        if isinstance(query, Reason):
            return Found(feed=Feed(fault=query))
        if not query.asked:
            return Found()
        window_ms = self._windows.window_ms
        through = self._windows.window_at(self._windows.now_ms() - spec.late_ms) - 1
        after = max(judged, since_ms // window_ms - 1)
        try:
            async with asyncio.timeout(self._patience_ms / 1_000):
                answer = await self._source.windows(query, after, through, window_ms)
        except TimeoutError:
            return Found(feed=Feed(fault=Reason.SLOW))
        sums = sums_of(query, state, answer.windows, since_ms)
        passed = answer.through if answer.through > judged else None
        if answer.fault in _NOTHING_YET and through <= since_ms // window_ms:
            # Series that name this run or reach begin with it: nothing is missing before its first window is over.
            return Found(sums, passed=passed)
        return Found(sums, Feed(fault=answer.fault, detail=answer.detail), passed)
