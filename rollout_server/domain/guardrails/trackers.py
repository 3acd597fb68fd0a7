"""What is summed of two arms, for the interval of their ratio; one tracker per family of tests."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp, floor, inf, log, sqrt

from rollout_sdk.engine.log_histogram import BINS_PER_DOUBLING
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import Tally, inflated, scored
from rollout_server.domain.guardrails.data import HASH_BUCKETS, WindowSums
from rollout_server.domain.guardrails.histogram import Histogram
from rollout_server.domain.guardrails.interval import ALPHA, PRECISION, Span, Sums, around
from rollout_server.domain.guardrails.normal import boundary

_STEPS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8, 1.1, 1.6, 2.3, 3.2, 4.5)
LOG_RATIOS = (*(-step for step in reversed(_STEPS)), 0.0, *_STEPS)
_RATIOS = tuple(exp(value) for value in LOG_RATIOS)
_SHIFTS = tuple(value / log(2) * BINS_PER_DOUBLING for value in LOG_RATIOS)
_UNSHIFTED = len(_STEPS)


class Likelihoods:
    """Rates of independent units: conditional Poisson log likelihoods of each ratio, exact."""

    size = len(LOG_RATIOS) + 3

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return the log likelihood of each ratio, and for the estimate both arms' weighted counts and information."""
        n_t, x_t, n_c, x_c = part.candidate.n, part.candidate.x, part.control.n, part.control.x
        both = x_t + x_c
        if not n_t or not n_c or not both:
            return ()
        n = n_t + n_c
        q = n_t / n
        return [
            *[x_t * value - both * log(1 + q * (ratio - 1)) for value, ratio in zip(LOG_RATIOS, _RATIOS, strict=True)],
            x_t * n_c / n,
            x_c * n_t / n,
            both * q * (1 - q),
        ]

    def span(self, sums: Sums) -> Span | None:
        """Invert the mixture with equal weight on each ratio."""
        likelihoods, (of_t, of_c, information) = sums[:-3], sums[-3:]
        if of_t + of_c <= 0 or information <= 0:
            return None
        best = max(likelihoods)
        mixed = best + log(sum(exp(value - best) for value in likelihoods) / len(likelihoods))
        slack = [mixed - value - log(1 / ALPHA) for value in likelihoods]  # below 0: not ruled out
        peak = likelihoods.index(best)
        low, high = crossing(slack, peak, -1), crossing(slack, peak, 1)
        estimate = log(of_t / of_c) if of_t > 0 and of_c > 0 else LOG_RATIOS[peak]
        return Span(min(max(estimate, low), high), low, high, 1 / sqrt(information))


def crossing(slack: Sequence[float], peak: int, step: int) -> float:
    """Walk from the peak to where a ratio is ruled out, and interpolate; infinite where the grid ends first.

    Where even the peak is ruled out, as by sums that no single ratio explains, it is all that is left.
    """
    place = peak
    if slack[place] >= 0:
        return LOG_RATIOS[place]
    while 0 <= place + step < len(slack):
        if slack[place + step] >= 0:
            share = -slack[place] / (slack[place + step] - slack[place])
            return LOG_RATIOS[place] + share * (LOG_RATIOS[place + step] - LOG_RATIOS[place])
        place += step
    return step * inf


class Buckets:
    """Clustered events: ratio of sums over hash buckets, with the variance between them. Approximate."""

    size = 2 + 2 * HASH_BUCKETS

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return each arm's weighted sums, whole and by bucket (less what the bucket's share of events explains)."""
        candidate, control = part.candidate, part.control
        n_t, n_c = candidate.n, control.n
        if not (n_t and n_c and candidate.bucket_n and control.bucket_n):
            return ()
        n = n_t + n_c
        p, q = n_c / n, n_t / n
        level_t, level_c = candidate.x / n_t, control.x / n_c
        return [
            p * candidate.x,
            q * control.x,
            *[p * (x - level_t * m) for x, m in zip(candidate.bucket_x, candidate.bucket_n, strict=True)],
            *[q * (x - level_c * m) for x, m in zip(control.bucket_x, control.bucket_n, strict=True)],
        ]

    def span(self, sums: Sums) -> Span | None:
        """Invert a normal mixture around the log ratio."""
        of_t, of_c = sums[:2]
        if of_t <= 0 or of_c <= 0:
            return None
        scores = [
            t / of_t - c / of_c for t, c in zip(sums[2 : 2 + HASH_BUCKETS], sums[2 + HASH_BUCKETS :], strict=True)
        ]
        variance = sum(score * score for score in scores) * HASH_BUCKETS / (HASH_BUCKETS - 1)
        return around(log(of_t / of_c), sqrt(variance)) if variance > 0 else None


class Pairs:
    """Means, counters, bare ratios: ratio of weighted means, with the variance between windows. Approximate."""

    size = 6

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return each arm's weighted mean, squares, product, and one."""
        n_t, n_c = part.candidate.n, part.control.n
        if not n_t or not n_c:
            return ()
        weight = n_t * n_c / (n_t + n_c)
        t, c = weight * part.candidate.x / n_t, weight * part.control.x / n_c
        return [t, c, t * t, c * c, t * c, 1.0]

    def span(self, sums: Sums) -> Span | None:
        """Invert a normal mixture around the log ratio."""
        of_t, of_c, tt, cc, tc, windows = sums
        if of_t <= 0 or of_c <= 0 or windows <= 1:
            return None
        ratio = of_t / of_c
        squares = tt - 2 * ratio * tc + ratio * ratio * cc  # of t - ratio c, whose sum is 0
        variance = squares * windows / (windows - 1) / (of_t * of_t)
        return around(log(ratio), sqrt(variance)) if variance > 0 else None


class Shifts:
    """Quantiles: how many more of the candidate's values lie beyond the cut, shifted by each ratio.

    The ratio where neither arm has more is the estimate; those whose difference stays within the boundary of a normal
    mixture are the interval. Its variance is at least what the windows themselves show, and for
    clustered events what the classes of units show for the mean.
    """

    def __init__(self, *, high: bool, clustered: bool) -> None:
        self._high = high
        self._clustered = clustered
        self.size = len(LOG_RATIOS) + 2 + (HASH_BUCKETS + 1) * clustered

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:
        """Return the score of each ratio, the variance of one, and its square."""
        if place is None:
            return ()
        n_t, over_t = tail(part.candidate.histogram)
        n_c, over_c = tail(part.control.histogram)
        if not n_t or not n_c:
            return ()
        q = n_t / (n_t + n_c)
        above_c = over_c(place)
        beyond_c = above_c if self._high else n_c - above_c
        scores = []
        for shift in _SHIFTS:
            above_t = over_t(place + shift)
            scores.append((1 - q) * (above_t if self._high else n_t - above_t) - q * beyond_c)
        above_t = over_t(place)
        both = beyond_c + (above_t if self._high else n_t - above_t)
        terms = [*scores, both * q * (1 - q), scores[_UNSHIFTED] ** 2]
        if not self._clustered:
            return terms
        tally = scored(Tally(), part, Bound(1.0, rising=True))
        return [*terms, *tally.scores, tally.naive]

    def span(self, sums: Sums) -> Span | None:
        """Find the ratios whose score is within the boundary."""
        cuts = len(LOG_RATIOS)
        scores, variance, squares = sums[:cuts], sums[cuts], sums[cuts + 1]
        if variance <= 0:
            return None
        inflation = inflated(Tally(sums[cuts + 2 : -1], naive=sums[-1]))[0] if self._clustered else 1.0
        variance = max(variance * inflation, squares)
        reach = boundary(variance, ALPHA, PRECISION)
        peak = min(range(len(scores)), key=lambda index: abs(scores[index]))
        slack = [abs(score) - reach for score in scores]
        low, high = crossing(slack, peak, -1), crossing(slack, peak, 1)
        falling = -1 if self._high else 1
        below, above_ = max(0, peak - 1), min(len(scores) - 1, peak + 1)
        slope = falling * (scores[above_] - scores[below]) / (LOG_RATIOS[above_] - LOG_RATIOS[below])
        if slope <= 0:
            return None
        estimate = LOG_RATIOS[peak] - falling * scores[peak] / slope
        return Span(min(max(estimate, low), high), low, high, sqrt(variance) / slope)


def tail(histogram: Histogram) -> tuple[int, Callable[[float], float]]:
    """Return how many values there are, and a function that counts those above a cut (as `histogram.above`)."""
    bins = [index for index, _ in histogram]
    counts = [number for _, number in histogram]
    everything = sum(counts)
    seen = [0, *accumulate(counts)]

    def over(cut: float) -> float:
        edge = floor(cut)
        place = bisect_left(bins, edge)
        if place < len(bins) and bins[place] == edge:
            return everything - seen[place + 1] + counts[place] * (edge + 1 - cut)
        return float(everything - seen[place])

    return everything, over
