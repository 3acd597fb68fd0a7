"""The one generated sentence of a verdict: the same in console, command line, notification and audit."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from rollout_server.domain.guardrails.spec import PPM, Measures, MetricSpec
from rollout_server.domain.guardrails.verdict import Reason

_BLIND = {
    Reason.NO_REPORTS: "no instance has reported by the watermark",
    Reason.EMPTY: "the query returns no series",
    Reason.NOT_A_NUMBER: "the source returns NaN or infinite values",
    Reason.STALE: "the newest sample is older than the window",
    Reason.ONE_ARM: "one arm sends nothing while the other does",
    Reason.COUNTER_RESET: "a counter fell, so this window cannot be counted",
    Reason.SLOW: "the metrics server did not answer in time",
    Reason.UNREACHABLE: "the metrics server cannot be reached",
    Reason.FAILING: "the metrics server answers with errors",
    Reason.REFUSED: "the metrics server refuses the query",
    Reason.UNREADABLE: "the answer of the metrics server cannot be read",
    Reason.WRONG_TYPE: "the query does not give numbers",
    Reason.TOO_MANY_SERIES: "the query gives too many series",
    Reason.TOO_LARGE: "the answer of the metrics server is too large",
    Reason.MIXED_REACH: "several reaches are in force, and its queries do not tell them apart; put {reach} into them",
    Reason.NO_SOURCE: "this server is not told where Prometheus is; set prometheus_url",
    Reason.NO_STORE: "the store that holds its sums is away",
    Reason.NO_METRIC: "the environment has no such metric any more",
    Reason.IMPOSSIBLE: "its sums cannot come from data (such as more failures than units) and were left out",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a sentence may quote; None where there is nothing yet."""

    estimate: float | None
    low: float | None
    high: float | None
    limit: float
    relative: bool
    candidate_units: int
    control_units: int
    minimum_units: int
    tolerance: float
    unit: str = "unit"
    detail: str = ""


def name_of(key: str, metric: MetricSpec) -> str:
    """Return the metric as people say it: "checkout.latency p95"."""
    if metric.measures is not Measures.QUANTILE:
        return key
    return f"{key} p{metric.quantile_ppm * 100 / PPM:g}"


def percent(fraction: float, *, sign: bool = True) -> str:
    """Return "+7.1 %" with as many decimals as say something."""
    value = fraction * 100
    text = f"{value:+.1f}" if abs(value) >= 1 or value == 0 else f"{value:+.2g}"
    return f"{text if sign else text.lstrip('+')} %"


def sentence(key: str, metric: MetricSpec, reason: Reason, figures: Figures) -> str:
    """Return the sentence."""
    name = name_of(key, metric)
    if reason in _BLIND:
        return blind_sentence(name, reason, figures.detail)
    limit = _amount(figures.limit, metric, relative=figures.relative)
    seen = _seen(metric, figures)
    exposed = f"{_grouped(figures.candidate_units)} {figures.unit}{'' if figures.candidate_units == 1 else 's'} exposed"
    tolerance = _amount(figures.tolerance, metric, relative=figures.relative)
    fewest = min(figures.candidate_units, figures.control_units) if figures.relative else figures.candidate_units
    texts = {
        Reason.PAST_LIMIT: f"{name} {seen} is past its limit {limit}; {exposed}",
        Reason.TOGETHER: f"{name} {seen}, limit {limit}, carried most of the evidence that the guardrails together "
        f"are past their limits; {exposed}",
        Reason.RULED_OUT: f"{name} {seen} is healthy: worse than {tolerance} is ruled out",
        Reason.NOT_ENOUGH: f"{name} {seen} is undecided, limit {limit}: not enough evidence either way",
        Reason.TOO_FEW_UNITS: f"{name} is undecided: {_grouped(fewest)} of at least {_grouped(figures.minimum_units)} "
        f"{figures.unit}s exposed in the smaller arm",
        Reason.RATIO_UNPROVEN: f"{name} {seen} is undecided: too few units yet to notice a bad split between the arms",
        Reason.QUIET: f"{name} is quiet: {figures.detail or 'instances report, nothing happens'}",
        Reason.SHARED_OUTAGE: f"{name} {seen} is past its limit {limit} in both arms: a shared outage, "
        "the candidate is not blamed",
        Reason.PARTNER_UNCLEAR: f"{name} {seen} is past its limit {limit}; whether the control is too is not clear yet",
        Reason.SKEW: f"{name} cannot be judged, the arms are split wrongly: {figures.detail}",
        Reason.NO_CONTROL: f"{name} is not judged here: the whole audience is exposed, so there is no control",
    }
    return texts[reason]


def blind_sentence(name: str, reason: Reason, detail: str = "") -> str:
    """Return why nothing is seen of a metric; `reason` is one of blindness."""
    return f"{name} is blind: {_BLIND[reason]}{f' ({detail})' if detail else ''}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _seen(metric: MetricSpec, figures: Figures) -> str:
    if figures.estimate is None:
        return "(no outcomes yet)"
    text = _amount(figures.estimate, metric, relative=figures.relative)
    if figures.low is None and figures.high is None:
        return text
    return f"{text} [{_edge(figures.low, metric, figures)}, {_edge(figures.high, metric, figures)}]"


def _edge(value: float | None, metric: MetricSpec, figures: Figures) -> str:
    if value is None or not isfinite(value):
        return "?"
    text = _amount(value, metric, relative=figures.relative)
    return text.rpartition(" ")[0] or text


def _amount(value: float, metric: MetricSpec, *, relative: bool) -> str:
    if relative:
        return percent(value)
    if metric.measures is Measures.PROPORTION:
        return percent(value, sign=False)
    return f"{value:.3g} {metric.unit}".rstrip()
