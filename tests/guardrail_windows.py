"""Windows for tests of the statistics: small builders, and every kind of metric with a world that suits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import comb, exp
from random import Random

from rollout_sdk.engine.log_histogram import bin_of
from rollout_server.domain.guardrails import sample_ratio
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.guardrails.look import Feed, Look
from rollout_server.domain.guardrails.sample_ratio import RatioState
from rollout_server.domain.guardrails.spec import Bad, Measures, MetricSpec, Per, Source

HALF = 500_000
ERRORS = MetricSpec(Measures.PROPORTION)
CONVERSION = MetricSpec(Measures.PROPORTION, bad=Bad.LOW)
REQUESTS = MetricSpec(Measures.PROPORTION, Per.EVENT)
COUNTS = MetricSpec(Measures.COUNT)
BASKET = MetricSpec(Measures.MEAN, unit="EUR")
LATENCY = MetricSpec(Measures.MEAN, Per.EVENT, unit="seconds")
P95 = MetricSpec(Measures.QUANTILE, quantile_ppm=950_000, unit="seconds")
P95_REQUESTS = MetricSpec(Measures.QUANTILE, Per.EVENT, quantile_ppm=950_000, unit="seconds")
COUNTERS = MetricSpec(Measures.PROPORTION, Per.EVENT, source=Source.PROMETHEUS, numerator="a", denominator="b")
BARE = MetricSpec(Measures.MEAN, Per.EVENT, source=Source.PROMETHEUS, numerator="a")
KINDS = {
    "errors": ERRORS,
    "conversion": CONVERSION,
    "requests": REQUESTS,
    "counts": COUNTS,
    "basket": BASKET,
    "latency": LATENCY,
    "p95": P95,
    "p95 of requests": P95_REQUESTS,
    "counters": COUNTERS,
    "bare ratio": BARE,
}


def window(
    number: int,
    candidate: Cell,
    control: Cell,
    *,
    reach_ppm: int = HALF,
    allocation: int = 1,
    stratum: str = "",
    run: int = 1,
) -> WindowSums:
    return WindowSums(run, allocation, reach_ppm, stratum, "metric", number, candidate, control)


def had(n: int, x: float) -> Cell:
    """N units, x of which had it."""
    return Cell(n, x, x)


def valued(values: Sequence[float]) -> Cell:
    """One value per unit."""
    counts: dict[int, int] = {}
    for value in values:
        counts[bin_of(value)] = counts.get(bin_of(value), 0) + 1
    return Cell(len(values), sum(values), sum(value * value for value in values), tuple(sorted(counts.items())))


def dealt(events: Sequence[tuple[int, float]]) -> Cell:
    """Events as (hash bucket, value)."""
    bucket_n, bucket_x = [0] * HASH_BUCKETS, [0.0] * HASH_BUCKETS
    for bucket, value in events:
        bucket_n[bucket] += 1
        bucket_x[bucket] += value
    whole = valued([value for _, value in events])
    return Cell(whole.n, whole.x, whole.xx, whole.histogram, tuple(bucket_n), tuple(bucket_x))


def cell(rng: Random, metric: MetricSpec, factor: float, size: int = 200) -> Cell:
    """One arm of one window; at factor 1 shares are 0.2, values log-normal around 0.1."""
    if metric is BARE:
        return Cell(1, factor * rng.uniform(0.9, 1.1))
    share = metric.measures is Measures.PROPORTION
    events = [
        (
            rng.randrange(HASH_BUCKETS),
            float(rng.random() < 0.2 * factor) if share else factor * 0.1 * exp(0.5 * rng.gauss(0, 1)),
        )
        for _ in range(size)
    ]
    if metric is COUNTERS:
        return had(size, sum(value for _, value in events))
    return dealt(events) if metric.per is Per.EVENT else valued([value for _, value in events])


def world(
    metric: MetricSpec, factor: float, *, windows: int = 60, seed: int = 1, reach_ppm: int = HALF
) -> Iterator[list[WindowSums]]:
    """Windows of a candidate that is `factor` times the control."""
    rng = Random(seed)  # noqa: S311 - a seeded world
    for number in range(windows):
        candidate, control = cell(rng, metric, factor), cell(rng, metric, 1.0)
        yield [window(number, candidate, control if reach_ppm < 1_000_000 else Cell(), reach_ppm=reach_ppm)]


def fair_ratio(units: int = 20_000, run: int = 1) -> RatioState:
    """A sample ratio that is as configured, and had the power to object."""
    counts = UnitCounts(units // 2, units // 2)
    return sample_ratio.absorb(sample_ratio.start(run), [ExposureSums(run, 1, HALF, "", 0, counts, counts)])


def look(ratio: RatioState | None = None, *, stage: str = "canary", feed: Feed = Feed(), units: int = 0) -> Look:  # noqa: B008 - frozen
    known = fair_ratio() if ratio is None else ratio
    return Look(known.run, stage, known, feed, minimum_units=units)


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)]


def expectation(n_t: int, p_t: float, n_c: int, p_c: float, log_e: object) -> float:
    """The expectation of exp(log_e(x_T, x_C)), every outcome enumerated."""
    assert callable(log_e)
    of_t, of_c = binomial(n_t, p_t), binomial(n_c, p_c)
    return sum(of_t[x_t] * of_c[x_c] * exp(log_e(x_t, x_c)) for x_t, x_c in product(range(n_t + 1), range(n_c + 1)))
