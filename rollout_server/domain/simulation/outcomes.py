"""What simulated users do, as the sums that processes would report of them."""

from __future__ import annotations

from math import erf, exp, floor, log, sqrt
from typing import TYPE_CHECKING

from rollout_server.domain.guardrails.data import HASH_BUCKETS, NOTHING, Cell
from rollout_server.domain.guardrails.histogram import position, value_at
from rollout_server.domain.guardrails.spec import PPM, Bad, Measures, MetricSpec, Per, Source

if TYPE_CHECKING:
    from rollout_server.domain.simulation.chance import Chance

EVENTS_PER_UNIT = 3
"""Of a metric per event: how often a user comes to the point where it is measured."""

SPREAD = 0.5
"""Of values, around their level: standard deviation of their logarithm, about that of latencies."""

_LEVELS = {Measures.PROPORTION: 0.02, Measures.COUNT: 1.0, Measures.MEAN: 1.0, Measures.QUANTILE: 0.3}
_GOOD_SHARE = 0.3
_BINS = 4 * SPREAD  # on either side, in logarithms


def usual_level(metric: MetricSpec) -> float:
    """Return a level to suppose where nobody gave one: 2 % errors, 30 % conversion, 0.3 seconds, one a user."""
    if metric.measures is Measures.PROPORTION and metric.bad is Bad.LOW:
        return _GOOD_SHARE
    return _LEVELS[metric.measures]


def cell(metric: MetricSpec, level: float, units: int, chance: Chance) -> Cell:
    """Return one arm's sums of one window.

    Args:
        metric: what is measured.
        level: share, count, mean, or the value of the quantile itself.
        units: new users in this window.
        chance: their luck.
    """
    count = units if metric.per is Per.UNIT else chance.poisson(units * EVENTS_PER_UNIT)
    if not count:
        return NOTHING
    if metric.source is Source.PROMETHEUS:
        return _counted(metric, level, count, chance)
    if metric.per is Per.UNIT:
        return _whole(metric, level, count, chance)
    return _dealt(metric, level, count, chance)


def _counted(metric: MetricSpec, level: float, count: int, chance: Chance) -> Cell:
    """Two counters, or a bare ratio: no squares, no classes of users."""
    found = _whole(metric, level, count, chance)
    return Cell(found.n, found.x) if metric.denominator else Cell(1, found.x / found.n)


def _whole(metric: MetricSpec, level: float, count: int, chance: Chance) -> Cell:
    match metric.measures:
        case Measures.PROPORTION:
            x = chance.binomial(count, level)
            return Cell(count, float(x), float(x))
        case Measures.COUNT:
            x = chance.poisson(count * level)
            return Cell(count, float(x), x * (1 + x / count))
        case Measures.MEAN:
            mean = max(0.0, level * (1 + SPREAD * chance.normal() / sqrt(count)))
            return Cell(count, count * mean, count * mean * mean * (1 + SPREAD * SPREAD))
        case Measures.QUANTILE:
            return _histogram(metric, level, count, chance)


def _histogram(metric: MetricSpec, level: float, count: int, chance: Chance) -> Cell:
    """Log-normal values whose quantile is the level, drawn bin by bin."""
    middle = log(level) - SPREAD * _normal_quantile(metric.quantile_ppm / PPM)
    first, last = floor(position(exp(middle - _BINS))), floor(position(exp(middle + _BINS)))
    counts: list[tuple[int, int]] = []
    n, x, xx, below = 0, 0.0, 0.0, 0.0
    for index in range(first, last + 1):
        reached = _below((log(value_at(index + 1)) - middle) / SPREAD)
        drawn = chance.poisson(count * (reached - below))
        below = reached
        if drawn:
            value = value_at(index + 0.5)
            counts.append((index, drawn))
            n, x, xx = n + drawn, x + drawn * value, xx + drawn * value * value
    return Cell(n, x, xx, tuple(counts))


def _dealt(metric: MetricSpec, level: float, count: int, chance: Chance) -> Cell:
    """Events by class of user, as metrics per event are reported."""
    if metric.measures is Measures.QUANTILE:
        whole = _histogram(metric, level, count, chance)
        mean = whole.x / whole.n if whole.n else 0.0
        deviation = sqrt(max(0.0, whole.xx / whole.n - mean * mean)) if whole.n else 0.0
        # The classes must differ as much as users do: their variance is what judges the whole.
        parts = [Cell(n, n * mean + sqrt(n) * deviation * chance.normal()) for n in _split(whole.n, chance)]
        whole = Cell(whole.n, sum(part.x for part in parts), whole.xx, whole.histogram)
    else:
        parts = [_whole(metric, level, n, chance) if n else NOTHING for n in _split(count, chance)]
        whole = Cell(count, sum(part.x for part in parts), sum(part.xx for part in parts))
    return Cell(
        whole.n,
        whole.x,
        whole.xx,
        whole.histogram,
        tuple(part.n for part in parts),
        tuple(part.x for part in parts),
    )


def _split(count: int, chance: Chance) -> list[int]:
    left, parts = count, []
    for classes in range(HASH_BUCKETS, 0, -1):
        part = chance.binomial(left, 1 / classes)
        parts.append(part)
        left -= part
    return parts


def _below(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


def _normal_quantile(share: float) -> float:
    """By halving: nobody waits for it."""
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle) < share else (low, middle)
    return low
