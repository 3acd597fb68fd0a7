"""Which test judges which metric.

proportion per unit               rates        exact
quantile per unit                 quantiles    exact but for the bins of the histogram
count, mean per unit              means        approximate
anything per event                clustered    approximate
quantile per event                quantiles    approximate
Prometheus, proportion per unit   rates        exact, if each unit is counted once
Prometheus, any other counters    paired       approximate, weaker
Prometheus, a bare ratio          paired       signs of windows
"""

from __future__ import annotations

from typing import Any

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import Clustered
from rollout_server.domain.guardrails.difference import AtLeast, Difference
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.means import Means
from rollout_server.domain.guardrails.one_sample import (
    Against,
    OneClustered,
    OneClusteredQuantile,
    OneMean,
    OneRate,
    beyond,
)
from rollout_server.domain.guardrails.paired import Counters, Signs
from rollout_server.domain.guardrails.quantiles import ClusteredQuantiles, Quantiles
from rollout_server.domain.guardrails.rates import Rates
from rollout_server.domain.guardrails.spec import PPM, Bad, Measures, MetricSpec, Per, Source


def is_high(metric: MetricSpec) -> bool:
    """Whether high harms."""
    return metric.bad is Bad.HIGH


def is_bounded(metric: MetricSpec) -> bool:
    """Whether each value is between 0 and 1."""
    return metric.measures is Measures.PROPORTION


def _counts_units(metric: MetricSpec) -> bool:
    """Whether two counters are all that a test needs: no squares come from Prometheus, so no variance of values."""
    return metric.measures is Measures.PROPORTION and metric.per is Per.UNIT


def two_arms(metric: MetricSpec, bound: Bound) -> Evidence[Any]:
    """Return the test of candidate against control at one edge."""
    share, high = metric.quantile_ppm / PPM, is_high(metric)
    match metric:
        case MetricSpec(source=Source.PROMETHEUS, denominator=""):
            return Signs(bound)
        case MetricSpec(source=Source.PROMETHEUS) if not _counts_units(metric):
            return Counters(bound)
        case MetricSpec(measures=Measures.QUANTILE, per=Per.UNIT):
            return Quantiles(bound, share, high=high)
        case MetricSpec(measures=Measures.QUANTILE):
            return ClusteredQuantiles(bound, share, high=high)
        case MetricSpec(per=Per.EVENT):
            return Clustered(bound)
        case MetricSpec(measures=Measures.PROPORTION):
            return Difference(bound) if bound.margin else Rates(bound)
        case _:
            return Means(bound)


def joined(metric: MetricSpec, relative: Bound, at_least: float, *, both: bool) -> Evidence[Any]:
    """Return the test of a relative edge, and of the margin `at_least` beside it where there is one.

    Args:
        metric: what is measured.
        relative: the relative edge.
        at_least: margin without sign, in the metric's own unit; 0 for none.
        both: a regression must pass both edges; else one suffices.
    """
    test = two_arms(metric, relative)
    if not at_least:
        return test
    margin = at_least if is_high(metric) else -at_least
    return AtLeast(test, two_arms(metric, Bound(1.0, relative.rising, margin)), both=both)


def one_arm(metric: MetricSpec, limit: float, *, rising: bool) -> Evidence[Any]:
    """Return the test of one arm against a number; evidence grows when the level is above (rising) or below it."""
    share, high = metric.quantile_ppm / PPM, is_high(metric)
    match metric:
        case MetricSpec(source=Source.PROMETHEUS, denominator=""):
            return Against(Signs(Bound(1.0, rising)), limit)
        case MetricSpec(source=Source.PROMETHEUS) if not _counts_units(metric):
            return Against(Counters(Bound(1.0, rising)), limit)
        case MetricSpec(measures=Measures.QUANTILE):
            # Above the limit should lie at most 1 - share of the values; where low is bad, below it at most share.
            tail = 1 - share if high else share
            counted = beyond(limit, high=high)
            if metric.per is Per.EVENT:
                return OneClusteredQuantile(tail, rising=rising is high, counted=counted)
            return OneRate(tail, rising=rising is high, counted=counted)
        case MetricSpec(per=Per.EVENT):
            return OneClustered(limit, rising=rising)
        case MetricSpec(measures=Measures.PROPORTION):
            return OneRate(limit, rising=rising)
        case _:
            return OneMean(limit, rising=rising)
