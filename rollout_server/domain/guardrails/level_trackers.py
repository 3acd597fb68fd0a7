"""What is summed of one arm, for the interval of its level against an absolute limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, lgamma, log, log1p, sqrt

from rollout_server.domain.guardrails.clustered import Tally, inflated
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, WindowSums
from rollout_server.domain.guardrails.histogram import position
from rollout_server.domain.guardrails.interval import ALPHA, PRECISION, Span, Sums, around
from rollout_server.domain.guardrails.normal import boundary
from rollout_server.domain.guardrails.trackers import LOG_RATIOS, crossing, tail

_HALVINGS = 60


class OneShare:
    """A share of independent units: the Beta(1/2, 1/2) mixture of binomial likelihoods, inverted; exact."""

    size = 2

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return units, and how many had it."""
        return (part.candidate.n, part.candidate.x) if part.candidate.n else ()

    def span(self, sums: Sums) -> Span | None:
        """Invert; on the scale of logarithms."""
        n, x = sums
        if n <= 0 or not 0 <= x <= n:
            return None
        mixed = lgamma(x + 0.5) + lgamma(n - x + 0.5) - lgamma(n + 1) - 2 * lgamma(0.5)
        limit = mixed - log(1 / ALPHA)  # log likelihoods below it are ruled out
        share = min(max(x / n, 0.5 / (n + 1)), 1 - 0.5 / (n + 1))

        def kept(p: float) -> bool:
            return (x * log(p) if x else 0.0) + ((n - x) * log1p(-p) if n - x else 0.0) >= limit

        low, high = _edge(kept, share, 0.0), _edge(kept, share, 1.0)
        return Span(log(share), log(low) if low > 0 else -inf, log(high), sqrt((1 - share) / (n * share)))


def _edge(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if 0 < middle < 1 and kept(middle) else (inside, middle)
    return outside


class OneLevel:
    """A mean, a count, or events: sum over sum, with the variance between windows. Approximate."""

    size = 6

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return sums, squares, product, and one."""
        n, x = part.candidate.n, part.candidate.x
        return (n, x, n * n, x * x, n * x, 1.0) if n else ()

    def span(self, sums: Sums) -> Span | None:
        """Invert a normal mixture around the logarithm of the level."""
        n, x, nn, xx, nx, windows = sums
        if n <= 0 or x <= 0 or windows <= 1:
            return None
        level = x / n
        squares = xx - 2 * level * nx + level * level * nn
        variance = squares * windows / (windows - 1) / (x * x)
        return around(log(level), sqrt(variance)) if variance > 0 else None


class OneBuckets:
    """Clustered events: sum over sum, with the variance between hash buckets. Approximate."""

    size = 2 + HASH_BUCKETS

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - only quantiles have a place
        """Return events, their sum, and by bucket what its share of events does not explain."""
        cell = part.candidate
        return (cell.n, cell.x, *residuals(cell)) if cell.n and cell.bucket_n else ()

    def span(self, sums: Sums) -> Span | None:
        """Invert a normal mixture around the logarithm of the level."""
        n, x = sums[:2]
        variance = sum([score * score for score in sums[2:]]) * HASH_BUCKETS / (HASH_BUCKETS - 1)
        return around(log(x / n), sqrt(variance) / x) if n > 0 and x > 0 and variance > 0 else None


def residuals(cell: Cell) -> Sequence[float]:
    """Return each hash bucket's sum less its share of events at the cell's mean."""
    mean = cell.x / cell.n
    return [x - mean * n for x, n in zip(cell.bucket_x, cell.bucket_n, strict=True)]


class OneQuantile:
    """A quantile: counts above a grid of levels around the limit, against the share that should be above."""

    def __init__(self, limit: float, above: float, *, clustered: bool) -> None:
        self._above = above
        self._clustered = clustered
        self.size = len(LOG_RATIOS) + 1 + (HASH_BUCKETS + 1) * clustered
        self._places = tuple(position(limit * 2.0 ** (value / log(2))) for value in LOG_RATIOS)
        self._log_limit = log(limit)

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:  # noqa: ARG002 - the limit is the place
        """Return for each level how many more than wanted lie above it, and how many values there are."""
        cell = part.candidate
        n, over = tail(cell.histogram)
        if not n or (self._clustered and not (cell.n and cell.bucket_n)):
            return ()
        terms = [*[over(cut) - self._above * n for cut in self._places], n]
        return [*terms, *residuals(cell), cell.xx - cell.x**2 / cell.n] if self._clustered else terms

    def span(self, sums: Sums) -> Span | None:
        """Find the levels whose excess is within the boundary of a normal mixture."""
        excess, n = sums[: len(LOG_RATIOS)], sums[len(LOG_RATIOS)]
        inflation = 1.0
        if self._clustered:
            inflation = inflated(Tally(sums[len(LOG_RATIOS) + 1 : -1], naive=sums[-1]))[0]
        variance = n * self._above * (1 - self._above) * inflation
        if variance <= 0:
            return None
        reach = boundary(variance, ALPHA, PRECISION)
        peak = min(range(len(excess)), key=lambda index: abs(excess[index]))
        slack = [abs(value) - reach for value in excess]
        low, high = crossing(slack, peak, -1), crossing(slack, peak, 1)
        left, right = max(0, peak - 1), min(len(excess) - 1, peak + 1)
        slope = (excess[left] - excess[right]) / (LOG_RATIOS[right] - LOG_RATIOS[left])
        if slope <= 0:
            return None
        estimate = min(max(LOG_RATIOS[peak] + excess[peak] / slope, low), high)
        base = self._log_limit
        return Span(base + estimate, base + low, base + high, sqrt(variance) / slope)
