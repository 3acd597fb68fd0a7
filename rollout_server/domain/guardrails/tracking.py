"""Which tracker shows which metric's estimate, and how its scale reads."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite
from typing import Any

from rollout_server.domain.guardrails.difference import AtLeastState
from rollout_server.domain.guardrails.families import is_high
from rollout_server.domain.guardrails.histogram import cut_at
from rollout_server.domain.guardrails.interval import Span, Tracker
from rollout_server.domain.guardrails.level_trackers import OneBuckets, OneLevel, OneQuantile, OneShare
from rollout_server.domain.guardrails.quantiles import QuantilesState
from rollout_server.domain.guardrails.spec import PPM, AbsoluteLimit, Guardrail, Measures, MetricSpec, Per, Source
from rollout_server.domain.guardrails.trackers import Buckets, Likelihoods, Pairs, Shifts


@dataclass(frozen=True, slots=True)
class Shown:
    """A span as people read it: relative differences, or levels for an absolute limit; None where open or unknown."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None


def tracker_for(metric: MetricSpec, guardrail: Guardrail) -> Tracker:
    """Return the tracker of a guardrail."""
    share = metric.quantile_ppm / PPM
    limit = guardrail.limit
    counted = metric.measures is Measures.PROPORTION and metric.per is Per.UNIT
    bare = metric.source is Source.PROMETHEUS and not metric.denominator
    quantile = metric.measures is Measures.QUANTILE and not bare
    buckets = metric.per is Per.EVENT and metric.source is Source.SDK
    if isinstance(limit, AbsoluteLimit):
        if quantile:
            return OneQuantile(limit.value, 1 - share, clustered=buckets)
        if buckets:
            return OneBuckets()
        return OneShare() if counted and not bare else OneLevel()
    if quantile:
        return Shifts(high=is_high(metric), clustered=buckets)
    if buckets:
        return Buckets()
    return Likelihoods() if counted and not bare else Pairs()


def place_of(regression: Any, metric: MetricSpec) -> float | None:  # noqa: ANN401 - the state of any family
    """Return where the windows judged so far put the metric's quantile; None unless it has one."""
    state = regression.relative if isinstance(regression, AtLeastState) else regression
    return cut_at(state.histogram, metric.quantile_ppm / PPM) if isinstance(state, QuantilesState) else None


def shown(span: Span | None, *, relative: bool) -> Shown:
    """Return a span on the scale that people read."""
    if span is None:
        return Shown()
    less = 1.0 if relative else 0.0

    def read(value: float) -> float | None:
        return exp(value) - less if isfinite(value) else None

    return Shown(read(span.estimate), read(span.low), read(span.high))
