"""`at_least`: the difference of two rates must also exceed a margin.

So 20 % of almost nothing rolls nothing back.

The null p_T <= p_C + margin is convex, so the likelihood ratio of an alternative (theta_T, theta_C) against the
closest point (q + margin, q) of the null has expectation at most 1 over all of it (see `rates`). Poissonised, the
closest point is the root of a quadratic, and it holds for Poisson and binomial sums alike:

    x_T ln(theta_T / q_T) - n_T (theta_T - q_T) + x_C ln(theta_C / q_C) - n_C (theta_C - q_C)

A regression beyond the limit must be beyond both edges, so its E is the smaller of two; being healthy on either
side of one edge is enough, so there E is their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.levels import learn, level_of
from rollout_server.domain.guardrails.mixtures import EFFECTS
from rollout_server.domain.guardrails.rates import RatesState

_FLOOR = 0.02  # of the level: the lowest rate that an alternative gives the control


def closest(n_t: float, theta_t: float, n_c: float, theta_c: float, margin: float) -> float:
    """Return q of the closest point (q + margin, q): the larger root, where both rates are positive."""
    n = n_t + n_c
    b = n * margin - n_t * theta_t - n_c * theta_c
    return (-b + sqrt(max(0.0, b * b + 4 * n * n_c * theta_c * margin))) / (2 * n)


def increment(n_t: float, x_t: float, n_c: float, x_c: float, *, factor: float, margin: float, level: float) -> float:
    """Return the increment of log E for an alternative that is `factor` beyond the edge p_C + margin.

    Args:
        n_t: units of the candidate.
        x_t: how many of them had it.
        n_c: units of the control.
        x_c: how many of them had it.
        factor: theta_T over theta_C + margin.
        margin: with sign; negative where low is bad.
        level: pooled rate predicted from earlier windows, above 0.
    """
    theta_c = max(_FLOOR * level, (level * (n_t + n_c) - n_t * margin * factor) / (n_t * factor + n_c))
    edge = theta_c + margin
    if edge <= 0:
        return 0.0  # the control is too low to fall by so much
    theta_t = edge * factor
    q_c = closest(n_t, theta_t, n_c, theta_c, margin)
    q_t = q_c + margin
    if q_c <= 0 or q_t <= 0:
        return 0.0
    return x_t * log(theta_t / q_t) - n_t * (theta_t - q_t) + x_c * log(theta_c / q_c) - n_c * (theta_c - q_c)


class Difference:
    """Judges the difference of two rates of independent units against a margin."""

    def __init__(self, bound: Bound) -> None:
        sign = 1 if bound.rising else -1
        self._margin = bound.margin
        self._factors = tuple(exp(sign * size) for size in EFFECTS)

    def start(self) -> RatesState:
        """Return the state before the first window."""
        return RatesState(mixtures.start())

    def absorb(self, state: RatesState, sums: Sequence[WindowSums]) -> RatesState:
        """Add one window; strata without a level yet only teach it."""
        steps = [0.0] * len(self._factors)
        levels = state.levels
        for part in sums:
            candidate, control = part.candidate, part.control
            known = level_of(levels, part.stratum)
            if known is not None and known.x > 0 and candidate.n and control.n:
                for place, factor in enumerate(self._factors):
                    steps[place] += increment(
                        candidate.n,
                        candidate.x,
                        control.n,
                        control.x,
                        factor=factor,
                        margin=self._margin,
                        level=known.mean,
                    )
            levels = learn(levels, part.stratum, candidate, control)
        return RatesState(mixtures.grow(state.mixture, steps), levels)

    def log_e(self, state: RatesState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture)


@dataclass(frozen=True, slots=True)
class AtLeastState:
    """Evidence at the relative edge and at the absolute one."""

    relative: Any
    difference: Any


class AtLeast:
    """Joins the evidence at two edges: both must be passed, or, to be healthy, one kept."""

    def __init__(self, relative: Evidence[Any], difference: Evidence[Any], *, both: bool) -> None:
        self._relative = relative
        self._difference = difference
        self._both = both

    def start(self) -> AtLeastState:
        """Return the state before the first window."""
        return AtLeastState(self._relative.start(), self._difference.start())

    def absorb(self, state: AtLeastState, sums: Sequence[WindowSums]) -> AtLeastState:
        """Add one window to both."""
        return AtLeastState(
            self._relative.absorb(state.relative, sums), self._difference.absorb(state.difference, sums)
        )

    def log_e(self, state: AtLeastState) -> float:
        """Return log E: the smaller, or the mean."""
        first, second = self._relative.log_e(state.relative), self._difference.log_e(state.difference)
        if self._both:
            return min(first, second)
        high, low = max(first, second), min(first, second)
        return high + log(0.5 + 0.5 * exp(low - high))
