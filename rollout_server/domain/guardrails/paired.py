"""Prometheus: what two counters per arm, or a bare ratio, can tell. Approximate, and weaker than the SDK's sums.

Counters of events come without hash buckets, so how much requests of one user resemble each other is unknown. The
score of each window (candidate against r0 times control, as in `clustered`) is divided by a standard error that
earlier windows taught: the mean of score^2 over what independent events would give, at least 1. That covers bursts
inside a window; users who stay for hours and differ for hours are beyond it. Prefer `source: sdk`, or counters of
units.

A bare ratio has no denominators at all. Windows are paired, and E bets that the candidate's value lies beyond r0
times the control's in more than half of them: y ln(2 p) + (1 - y) ln(2 (1 - p)), exact where windows are
independent and the median of the difference is at the bound. Ties say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.levels import FADE
from rollout_server.domain.guardrails.means import clipped, reaches, tilted
from rollout_server.domain.guardrails.mixtures import Mixture

_LEARNT = 10.0  # windows before a dispersion is believed
_CHANCES = (0.55, 0.65, 0.75, 0.85, 0.95)  # that the candidate's value is the worse one
_EVEN = (0.2,) * len(_CHANCES)
_LATER = (1.0,) * len(_CHANCES)


@dataclass(frozen=True, slots=True)
class CountersState:
    """Evidence and dispersion.

    Attributes:
        seen: faded number of windows that taught the dispersion.
        dispersion: faded sum of score^2 over information.
        both: faded sum of both arms' numerators over their denominators' share, the level.
    """

    mixture: Mixture
    seen: float = 0.0
    dispersion: float = 0.0
    x: float = 0.0
    n: float = 0.0


class Counters:
    """Judges the ratio (or, with a margin, the difference) of two counted rates without hash buckets."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._sign = 1 if bound.rising else -1
        self._reaches = reaches(bound.rising)

    def start(self) -> CountersState:
        """Return the state before the first window."""
        return CountersState(mixtures.start(len(self._reaches)))

    def absorb(self, state: CountersState, sums: Sequence[WindowSums]) -> CountersState:
        """Add one window."""
        steps = [0.0] * len(self._reaches)
        seen, dispersion, x, n = state.seen, state.dispersion, state.x, state.n
        for part in sums:
            n_t, n_c = part.candidate.n, part.control.n
            if not n_t or not n_c:
                continue
            ratio, margin = self._bound.ratio, self._bound.margin
            q = n_t * ratio / (n_t * ratio + n_c)
            score = (1 - q) * (part.candidate.x - margin * n_t) - q * part.control.x
            if state.seen >= _LEARNT and state.x > 0:
                error = sqrt(self._expected(state, n_t, n_c, q) * max(1.0, state.dispersion / state.seen))
                # An effect as large as the edge itself moves the score by (1 - q) n_T edge.
                edge = ratio * state.x / state.n + margin
                step = tilted(
                    self._sign * clipped(score / error), (1 - q) * n_t * max(0.0, edge) / error, self._reaches
                )
                steps = [a + b for a, b in zip(steps, step, strict=True)]
            x, n = x + part.candidate.x + part.control.x, n + n_t + n_c
            level = x / n
            if level > 0:
                independent = level * ((1 - q) ** 2 * n_t + q * q * n_c)
                seen, dispersion = seen + 1, dispersion + score * score / independent
        return CountersState(mixtures.grow(state.mixture, steps), FADE * seen, FADE * dispersion, FADE * x, FADE * n)

    def log_e(self, state: CountersState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture)

    @staticmethod
    def _expected(state: CountersState, n_t: float, n_c: float, q: float) -> float:
        return state.x / state.n * ((1 - q) ** 2 * n_t + q * q * n_c)


@dataclass(frozen=True, slots=True)
class SignsState:
    """Evidence of signs."""

    mixture: Mixture


class Signs:
    """Judges a bare ratio: each cell holds one value (n = 1, x = the ratio)."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._sign = 1 if bound.rising else -1

    def start(self) -> SignsState:
        """Return the state before the first window."""
        return SignsState(mixtures.start(len(_CHANCES)))

    def absorb(self, state: SignsState, sums: Sequence[WindowSums]) -> SignsState:
        """Add one window."""
        steps = [0.0] * len(_CHANCES)
        for part in sums:
            if not part.candidate.n or not part.control.n:
                continue
            edge = self._bound.ratio * part.control.x / part.control.n + self._bound.margin
            beyond = self._sign * (part.candidate.x / part.candidate.n - edge)
            if beyond:
                steps = [
                    step + log(2 * (chance if beyond > 0 else 1 - chance))
                    for step, chance in zip(steps, _CHANCES, strict=True)
                ]
        return SignsState(mixtures.grow(state.mixture, steps, _LATER))

    def log_e(self, state: SignsState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture, _EVEN)
