"""Means and unbounded counts: approximate.

In each window and stratum the candidate's mean less r0 times the control's is divided by its standard error. Its
variance is that of earlier windows or of this one, whichever is larger: earlier ones know nothing of an outage that
both arms share, and a few of them little of a heavy tail. The z-score is clipped at 3, so that one giant order is no
evidence. For a relative effect that would move z by k, log E grows by k z - k^2 / 2 (Wald's likelihood ratio of two
normal means):

    z = (mean_T - margin - r0 mean_C) / sqrt(variance (1 / n_T + r0^2 / n_C))

What is approximate: sums of few heavy-tailed values are not normal, and values of one unit in two windows are taken
as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.levels import Level, Levels, learn, level_of
from rollout_server.domain.guardrails.mixtures import EFFECTS, Mixture

CLIP = 3.0
_LEARNT = 20.0  # values before a variance is believed


@dataclass(frozen=True, slots=True)
class MeansState:
    """Evidence, and the levels and variances it predicts from."""

    mixture: Mixture
    levels: Levels = ()


def clipped(z: float) -> float:
    """Return z within -3..3."""
    return max(-CLIP, min(CLIP, z))


def reaches(rising: bool) -> tuple[float, ...]:  # noqa: FBT001 - the direction is all it takes
    """Return by how much of the bound itself each effect lies beyond it."""
    return tuple(exp(size) - 1 if rising else 1 - exp(-size) for size in EFFECTS)


def tilted(z: float, unit: float, reached: Sequence[float]) -> list[float]:
    """Return the increments k z - k^2 / 2.

    Args:
        z: standard score, positive towards the alternative.
        unit: how far an effect as large as the bound itself would move z.
        reached: effects as shares of the bound.
    """
    strengths = [min(CLIP, unit * reach) for reach in reached]
    return [k * z - k * k / 2 for k in strengths]


class Means:
    """Judges the ratio (or, with a margin, the difference) of two means."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._sign = 1 if bound.rising else -1
        self._reaches = reaches(bound.rising)

    def start(self) -> MeansState:
        """Return the state before the first window."""
        return MeansState(mixtures.start(len(self._reaches)))

    def absorb(self, state: MeansState, sums: Sequence[WindowSums]) -> MeansState:
        """Add one window; strata without a variance yet only teach it."""
        steps = [0.0] * len(self._reaches)
        levels = state.levels
        for part in sums:
            known = level_of(levels, part.stratum)
            if known is not None and known.n >= _LEARNT:
                step = self._increments(part, known)
                if step:
                    steps = [a + b for a, b in zip(steps, step, strict=True)]
            levels = learn(levels, part.stratum, part.candidate, part.control)
        return MeansState(mixtures.grow(state.mixture, steps), levels)

    def log_e(self, state: MeansState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture)

    def _increments(self, part: WindowSums, known: Level) -> list[float]:
        n_t, n_c, bound = part.candidate.n, part.control.n, self._bound
        edge = bound.ratio * known.mean + bound.margin
        if not n_t or not n_c or edge <= 0 or known.variance <= 0:
            return []  # without a positive level there is no relative effect to speak of
        error = sqrt(max(known.variance, _variance(part)) * (1 / n_t + bound.ratio**2 / n_c))
        z = (part.candidate.x / n_t - bound.margin - bound.ratio * part.control.x / n_c) / error
        return tilted(self._sign * clipped(z), edge / error, self._reaches)


def _variance(part: WindowSums) -> float:
    """Return the variance of one value in this window, both arms together."""
    n = part.candidate.n + part.control.n
    mean = (part.candidate.x + part.control.x) / n
    return (part.candidate.xx + part.control.xx) / n - mean * mean
