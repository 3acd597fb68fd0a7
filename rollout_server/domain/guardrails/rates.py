"""Proportions and rates of bounded, independent units: exact.

Small rates use the two-arm Poissonised likelihood ratio (in the spirit of Lindon and Malek 2022). For an
alternative r beyond the bound r0, the increment of log E in a window is

    x_T ln(r / r0) - (x_T + x_C) ln[(n_T r + n_C) / (n_T r0 + n_C)]

It is free of the level, so a shared outage, a daily cycle or a new allocation cannot be blamed on the candidate.
Its expectation is exactly 1 at r0 for Poisson sums, and below 1 for binomial ones, because ln(1 + y) <= y.

Larger rates use the safe 2x2 e-variable (Turner, Ly and Grunwald 2024), with the pooled rate p predicted from
earlier windows: theta_C = p n / (n_T r + n_C), theta_T = r theta_C, and (q_T, q_C) the point of the null closest to
them, the minimum of n_T KL(theta_T, q_T) + n_C KL(theta_C, q_C):

    x_T ln(theta_T / q_T) + (n_T - x_T) ln[(1 - theta_T) / (1 - q_T)] + the same of the control

The paper's case is limit 0, where q_T = q_C = p. On q_T = r0 q_C the minimum is the root of a quadratic, and the
expectation stays at most 1 over the whole null: its logarithm is concave in (p_T, p_C), 0 at q, and its gradient
there is minus that of the divergence, which by optimality points out of the convex null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p, sqrt

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.levels import Levels, learn, level_of
from rollout_server.domain.guardrails.mixtures import EFFECTS, Mixture

SMALL = 0.002  # below this the two increments differ by less than 0.2 %, and the first needs no prediction
CAP = 0.25  # alternatives keep this share of the room between the level and 1
_NONE = (0.0,) * len(EFFECTS)


def poissonised(n_t: float, x_t: float, n_c: float, x_c: float, *, ratio: float, bound: float) -> float:
    """Return the increment of log E for one alternative ratio against the bound ratio."""
    return x_t * log(ratio / bound) - (x_t + x_c) * log((n_t * ratio + n_c) / (n_t * bound + n_c))


def closest_null(n_t: float, theta_t: float, n_c: float, theta_c: float, bound: float) -> float:
    """Return q_C of the closest point (r0 q, q) of the null: the smaller root of the quadratic."""
    a = bound * (n_t + n_c)
    b = n_t * (bound + theta_t) + n_c * (1 + bound * theta_c)
    c = n_t * theta_t + n_c * theta_c
    return 2 * c / (b + sqrt(max(0.0, b * b - 4 * a * c)))


def safe_2x2(n_t: float, x_t: float, n_c: float, x_c: float, *, ratio: float, bound: float, level: float) -> float:
    """Return the increment of log E for one alternative ratio at a predicted pooled rate in (0, 1)."""
    room = 1 - CAP * (1 - level)
    theta_c = min(room, level * (n_t + n_c) / (n_t * ratio + n_c))
    theta_t = min(room, ratio * theta_c)
    if (theta_t - bound * theta_c) * (ratio - bound) <= 0:
        return 0.0  # pressed against 1 it is no alternative any more
    q_c = closest_null(n_t, theta_t, n_c, theta_c, bound)
    q_t = bound * q_c
    if not (0 < q_c < 1 and 0 < q_t < 1):
        return 0.0
    return (
        x_t * log(theta_t / q_t)
        + (n_t - x_t) * log((1 - theta_t) / (1 - q_t))
        + x_c * log(theta_c / q_c)
        + (n_c - x_c) * log((1 - theta_c) / (1 - q_c))
    )


@dataclass(frozen=True, slots=True)
class RatesState:
    """Evidence, and the levels it predicts from."""

    mixture: Mixture
    levels: Levels = ()


class Rates:
    """Judges the ratio of two rates of independent units."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound.ratio
        self._ratios = bound.alternatives
        self._gains = tuple(log(ratio / bound.ratio) for ratio in self._ratios)
        self._pairs = tuple(zip(self._gains, self._ratios, strict=True))

    def start(self) -> RatesState:
        """Return the state before the first window."""
        return RatesState(mixtures.start())

    def absorb(self, state: RatesState, sums: Sequence[WindowSums]) -> RatesState:
        """Add one window: all its strata, allocations and reaches, each compared within itself."""
        steps: Sequence[float] = _NONE
        levels = state.levels
        for part in sums:
            step = self._increments(part, levels)
            if step is not None:
                steps = step if steps is _NONE else [a + b for a, b in zip(steps, step, strict=True)]
            levels = learn(levels, part.stratum, part.candidate, part.control)
        return RatesState(mixtures.grow(state.mixture, steps), levels)

    def log_e(self, state: RatesState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture)

    def _increments(self, part: WindowSums, levels: Levels) -> list[float] | None:
        n_t, n_c = part.candidate.n, part.control.n
        if not n_t or not n_c:
            return None  # one arm alone compares with nobody
        x_t, x_c = part.candidate.x, part.control.x
        known = level_of(levels, part.stratum)
        if known is not None and SMALL * known.n < known.x < known.n:
            level = known.mean
            return [safe_2x2(n_t, x_t, n_c, x_c, ratio=ratio, bound=self._bound, level=level) for ratio in self._ratios]
        both = x_t + x_c
        if not both:
            return None
        base = n_t * self._bound + n_c
        share = n_t * self._bound / base
        # ln[(n_T r + n_C) / (n_T r0 + n_C)] = ln[1 + q0 (r / r0 - 1)]
        return [x_t * gain - both * log1p(share * (ratio / self._bound - 1)) for gain, ratio in self._pairs]
