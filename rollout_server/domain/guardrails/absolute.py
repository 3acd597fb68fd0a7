"""Absolute limits (an SLO): the candidate against a number, without blaming it for an outage that both arms share.

Two e-processes, half of the weight each: `alone` sees windows in which the whole audience is exposed, `beside`
those in which a control stands beside the candidate. A shared outage before full exposure can therefore never roll
back after it.

While a control exists, being past the limit is blamed on the candidate only when the candidate is also worse than
the control. When the control is past the limit as well, that is a shared outage; between the two nothing is blamed
yet. Both hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import exp, inf, log
from typing import Any

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.families import is_high, one_arm, two_arms
from rollout_server.domain.guardrails.one_sample import swapped
from rollout_server.domain.guardrails.spec import PPM, MetricSpec

TELLING = log(10)  # evidence that settles who is past the limit, once somebody is
_HALF = log(0.5)


class Blame(Enum):
    """Who is past the limit, if anybody is."""

    CANDIDATE = "candidate"
    BOTH = "both"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class AbsoluteState:
    """Evidence of the candidate alone and beside a control, of the control, and of one against the other."""

    alone: Any
    beside: Any
    control: Any
    relative: Any


class Absolute:
    """Judges the candidate against a number."""

    def __init__(self, metric: MetricSpec, limit: float) -> None:
        rising = is_high(metric)
        self._limit = one_arm(metric, limit, rising=rising)
        self._relative = two_arms(metric, Bound(1.0, rising))

    def start(self) -> AbsoluteState:
        """Return the state before the first window."""
        one = self._limit.start()
        return AbsoluteState(one, one, one, self._relative.start())

    def absorb(self, state: AbsoluteState, sums: Sequence[WindowSums]) -> AbsoluteState:
        """Add one window."""
        alone = [part for part in sums if part.reach_ppm >= PPM]
        beside = [part for part in sums if part.reach_ppm < PPM]
        return AbsoluteState(
            self._limit.absorb(state.alone, alone),
            self._limit.absorb(state.beside, beside),
            self._limit.absorb(state.control, [swapped(part) for part in beside]),
            self._relative.absorb(state.relative, beside),
        )

    def log_e(self, state: AbsoluteState) -> float:
        """Return log E of what may be blamed on the candidate; it never exceeds `log_past`."""
        beside = self._limit.log_e(state.beside) if self.blame(state) is Blame.CANDIDATE else -inf
        return _mean(self._limit.log_e(state.alone), beside)

    def log_past(self, state: AbsoluteState) -> float:
        """Return log E of "the candidate was never past the limit", whoever else was."""
        return _mean(self._limit.log_e(state.alone), self._limit.log_e(state.beside))

    def log_alone(self, state: AbsoluteState) -> float:
        """Return log E of what was seen while everybody was exposed."""
        return _HALF + self._limit.log_e(state.alone)

    def blame(self, state: AbsoluteState) -> Blame:
        """Return who would be blamed, were the candidate past the limit beside a control."""
        if self._limit.log_e(state.control) >= TELLING:
            return Blame.BOTH
        return Blame.CANDIDATE if self._relative.log_e(state.relative) >= TELLING else Blame.UNCLEAR


def _mean(first: float, second: float) -> float:
    high = max(first, second)
    return high + _HALF + log(exp(first - high) + exp(second - high))
