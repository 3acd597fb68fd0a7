"""Counters in memory, scraped when the test says so: a real class that keeps every promise of the port."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import promql_parser

from rollout_server.domain.counted_windows import Counted, Labels, Sample, Series, counted_windows
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import MetricQuery, MetricWindows


@dataclass
class MemoryMetrics:
    """Fulfils `ports.MetricSource` for counters whose selectors compare labels with `=`.

    Attributes:
        fault: given for an answer as long as it is set.
        asked: every question, in order.
    """

    fault: Reason | None = None
    asked: list[tuple[MetricQuery, int, int]] = field(default_factory=list)
    is_closed: bool = False
    _samples: dict[tuple[str, Labels], list[Sample]] = field(default_factory=dict)

    def scrape(self, at_ms: int, target: str, counters: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> None:
        """Take a sample of each counter of a target: (name, labels) to its value."""
        for (name, labels), value in counters.items():
            place = name, tuple(sorted((*labels, ("instance", target))))
            self._samples.setdefault(place, []).append(Sample(at_ms, value))

    async def windows(self, query: MetricQuery, after: int, through: int, window_ms: int) -> MetricWindows:
        self.asked.append((query, after, through))
        if self.fault is not None:
            return MetricWindows((), after, self.fault, "as the test says")
        span_ms = (after + 1) * window_ms - query.lookback_ms, (through + 1) * window_ms
        counted = {
            one.slot: Counted(self._series(one.numerator, *span_ms), self._series(one.denominator, *span_ms))
            for one in query.asked
        }
        return counted_windows(query, counted, after, through, window_ms)

    async def close(self) -> None:
        self.is_closed = True

    def _series(self, selector: str, from_ms: int, to_ms: int) -> tuple[Series, ...]:
        parsed = promql_parser.parse(selector)
        assert isinstance(parsed, promql_parser.VectorSelector)
        wanted = {(one.name, one.value) for one in parsed.matchers.matchers}
        found = [
            Series(labels, tuple(one for one in samples if from_ms < one.at_ms <= to_ms))
            for (name, labels), samples in self._samples.items()
            if name == parsed.name and wanted <= set(labels)
        ]
        assert all(one.op == promql_parser.MatchOp.Equal for one in chain(parsed.matchers.matchers))
        return tuple(one for one in found if one.samples)
