"""How long a guardrail takes to a verdict at recent traffic: until healthy if nothing is wrong, until caught if it is.

Estimates, from the information that a window carries (`guardrails.pace`): exact for shares of units, normal
approximations otherwise. They say whether a soak is long enough to see anything, not when something will be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.domain.guardrails import sample_ratio
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.families import is_high
from rollout_server.domain.guardrails.healthy import ALPHA as HEALTHY_ALPHA
from rollout_server.domain.guardrails.healthy import NO_LIMIT_TOLERANCE_PPM, edge
from rollout_server.domain.guardrails.histogram import above, count, cut_at, position
from rollout_server.domain.guardrails.look import ALPHA
from rollout_server.domain.guardrails.pace import divergence, nats, windows_needed
from rollout_server.domain.guardrails.spec import PPM, AbsoluteLimit, Measures, Per, Source
from rollout_server.domain.guardrails.together import weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_server.domain.guardrails.spec import Guardrail, MetricSpec

_BEYOND = 1.5
_LAST = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came in lately, both arms together.

    Attributes:
        windows: how many of them the sums are of.
        units: different units first seen in these windows.
        sums: of each metric, by key; a metric that is not here is not known.
    """

    window_ms: int
    windows: int
    units: float
    sums: Mapping[str, Cell] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Split:
    """How a stage splits the units that come by: shares of all of them, at equal reach."""

    candidate: float
    control: float


@dataclass(frozen=True, slots=True)
class Pace:
    """One guardrail in one stage.

    Attributes:
        healthy_ms: until it is healthy, if the candidate is as good as the control; None where that cannot be told,
            or never comes.
        caught_ms: until a regression of `regression` has brought 1/alpha; None likewise.
        regression: twice the limit for a relative one, as a fraction with its sign; else the level itself.
        is_relative: the limit is one of candidate against control.
        unknown: why both are None; empty where they need not be.
    """

    metric: str
    healthy_ms: int | None
    caught_ms: int | None
    regression: float
    is_relative: bool
    unknown: str = ""


def paces(
    guardrails: Sequence[Guardrail], metrics: Mapping[str, MetricSpec], split: Split | None, traffic: Traffic | None
) -> tuple[Pace, ...]:
    """Return the pace of each guardrail of one stage.

    Args:
        guardrails: of the pipeline.
        metrics: by key; each guardrail's is there.
        split: None where nobody knows how large the stage's audience is.
        traffic: None where none is known.
    """
    shares = weights(guardrails)
    return tuple(
        _pace(metrics[guardrail.metric], guardrail, split, traffic, ALPHA * weight)
        for guardrail, weight in zip(guardrails, shares, strict=True)
    )


def _pace(metric: MetricSpec, guardrail: Guardrail, split: Split | None, traffic: Traffic | None, alpha: float) -> Pace:
    wrong = regression(metric, guardrail)
    sums = traffic.sums.get(guardrail.metric) if traffic else None
    is_absolute = isinstance(guardrail.limit, AbsoluteLimit)
    is_relative = not is_absolute
    if traffic is None or sums is None or not sums.n or not traffic.windows:
        return Pace(guardrail.metric, None, None, wrong, is_relative, "no traffic of this metric is known")
    if split is None:
        return Pace(guardrail.metric, None, None, wrong, is_relative, "nobody knows how many units the audience holds")
    if metric.source is Source.PROMETHEUS and not metric.denominator:
        return Pace(guardrail.metric, None, None, wrong, is_relative, "a bare ratio has no spread to estimate from")
    if not split.candidate or not (split.control or is_absolute):
        return Pace(guardrail.metric, None, None, wrong, is_relative, "there is no control here")
    per_window = sums.n / traffic.windows / _effect(metric, sums)
    arms = _Arms(per_window * split.candidate, per_window * split.control, metric, sums)
    test = arms.against_level if is_absolute else arms.against_control
    bound = guardrail.limit.value if isinstance(guardrail.limit, AbsoluteLimit) else 1 + guardrail.limit.ppm / PPM
    healthy = windows_needed(test(None, edge(metric, guardrail)), HEALTHY_ALPHA)
    caught = windows_needed(test(wrong if is_absolute else 1 + wrong, bound), alpha)
    if healthy is not None and split.control:
        healthy = max(healthy, _fair_after(split, traffic))
    times = [None if windows is None else windows * traffic.window_ms + metric.late_ms for windows in (healthy, caught)]
    return Pace(guardrail.metric, times[0], times[1], wrong, is_relative)


def regression(metric: MetricSpec, guardrail: Guardrail) -> float:
    """Return the regression that is clearly one: twice what a limit allows, or half as bad again as an SLO."""
    limit = guardrail.limit
    if not isinstance(limit, AbsoluteLimit):
        return (2 * limit.ppm or (1 if is_high(metric) else -1) * 2 * NO_LIMIT_TOLERANCE_PPM) / PPM
    if not is_high(metric):
        return limit.value / _BEYOND
    if metric.measures is Measures.PROPORTION:
        return min(limit.value * _BEYOND, (1 + limit.value) / 2)
    return limit.value * _BEYOND


def _fair_after(split: Split, traffic: Traffic) -> int:
    """Windows until the sample-ratio test could have objected, which healthy waits for."""
    both = split.candidate + split.control
    units = traffic.units / traffic.windows * both
    return ceil(sample_ratio.units_needed(split.candidate / both) / units) if units else 0


def _effect(metric: MetricSpec, sums: Cell) -> float:
    """How many events weigh as much as one independent one: users are there for many of them."""
    if metric.per is not Per.EVENT or not sums.bucket_n:
        return 1.0
    level = sums.x / sums.n
    seen = sum((x - level * n) ** 2 for n, x in zip(sums.bucket_n, sums.bucket_x, strict=True))
    alone = sums.n * _variance(metric, sums)
    return max(1.0, seen / alone) if alone > 0 else 1.0


def _variance(metric: MetricSpec, sums: Cell) -> float:
    level = sums.x / sums.n
    return level * (1 - level) if metric.measures is Measures.PROPORTION else max(0.0, sums.xx / sums.n - level * level)


class _Arms:
    """What one window holds, as independent outcomes, and how much it tells."""

    def __init__(self, n_t: float, n_c: float, metric: MetricSpec, sums: Cell) -> None:
        self._n_t, self._n_c = n_t, n_c
        self._metric, self._sums = metric, sums
        self._level = sums.x / sums.n

    def against_control(self, ratio: float | None, bound: float) -> float:
        """Nats of a window against "candidate is `bound` times the control", while it is `ratio` times (None: 1)."""
        ratio = 1.0 if ratio is None else ratio
        if self._metric.measures is Measures.QUANTILE:
            cut = self._cut()
            if cut is None:
                return 0.0
            # As `quantiles` cuts: a candidate that is `bound` times as slow has as much beyond its cut as the control.
            moved = self._tail(cut + position(bound) - position(ratio))
            return nats(self._n_t, min(_LAST, moved), self._n_c, min(_LAST, self._tail(cut)), 1.0)
        if self._level <= 0 or ratio <= 0:
            return 0.0
        if self._metric.measures is Measures.PROPORTION:
            return nats(self._n_t, min(_LAST, self._level * ratio), self._n_c, min(_LAST, self._level), bound)
        return self._gaussian(log(ratio / bound), _variance(self._metric, self._sums) / self._level**2)

    def against_level(self, level: float | None, bound: float) -> float:
        """Nats of the candidate's outcomes against "its level is `bound`", while it is `level` (None: as lately)."""
        if self._metric.measures is Measures.QUANTILE:
            cut = self._cut()
            if cut is None:
                return 0.0
            moved = 0.0 if level is None else cut - position(level)
            share, wanted = self._tail(position(bound) + moved), self._tail(cut)
            if level is None and not share < wanted:  # beyond its own quantile lies less than beyond the limit
                return 0.0
            return self._n_t * divergence(share, min(_LAST, max(1e-9, wanted)))
        truth = self._level if level is None else level
        is_broken = (truth >= bound) if is_high(self._metric) else (truth <= bound)
        if truth <= 0 or (level is None and is_broken):  # it can never be healthy
            return 0.0
        if self._metric.measures is Measures.PROPORTION:
            return self._n_t * divergence(min(_LAST, truth), min(_LAST, bound))
        spread = _variance(self._metric, self._sums) / self._level**2 if self._level > 0 else 0.0
        return self._n_t * log(truth / bound) ** 2 / 2 / spread if spread > 0 else 0.0

    def _cut(self) -> float | None:
        return cut_at(self._sums.histogram, self._metric.quantile_ppm / PPM)

    def _tail(self, place: float) -> float:
        """Share of the values that lie beyond a place, on the side that harms."""
        beyond = above(self._sums.histogram, place) / count(self._sums.histogram)
        return beyond if is_high(self._metric) else 1 - beyond

    def _gaussian(self, distance: float, spread: float) -> float:
        if not self._n_t or not self._n_c or spread <= 0:
            return 0.0
        return distance * distance / 2 / (spread * (1 / self._n_t + 1 / self._n_c))
