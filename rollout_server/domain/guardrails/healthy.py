"""Healthy: a regression larger than the tolerance is ruled out. Undecided is not healthy.

The mirrored e-process takes "the regression is at least as large as the tolerance" for its null and grows when the
candidate does better. It starts at 1 in each stage: what a stage shows is what that stage's units showed. At 0.05;
all guardrails of a pipeline must be healthy, which needs no correction, because each of them can only prevent an
advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.families import is_bounded, is_high, joined, one_arm
from rollout_server.domain.guardrails.spec import PPM, AbsoluteLimit, Guardrail, MetricSpec

ALPHA = 0.05
NO_LIMIT_TOLERANCE_PPM = 50_000  # "no worse at all" cannot be proven; within 5 % can
_MORE = 1.5  # half as large again as the limit allows


@dataclass(frozen=True, slots=True)
class HealthyState:
    """Evidence of one stage."""

    stage: str
    evidence: Any


def tolerance(guardrail: Guardrail) -> float:
    """Return the regression that must be ruled out: relative without sign, or the level for an absolute limit.

    The default is half as large again as the limit allows; for a relative limit of 0, 5 %.
    """
    given = guardrail.tolerance_ppm / PPM
    limit = guardrail.limit
    if isinstance(limit, AbsoluteLimit):
        return limit.value * (1 + given if given else _MORE)
    return given or (_MORE * abs(limit.ppm) or NO_LIMIT_TOLERANCE_PPM) / PPM


def edge(metric: MetricSpec, guardrail: Guardrail) -> float:
    """Return the ratio to the control (or the level, for an absolute limit) that must be ruled out."""
    allowed = tolerance(guardrail)
    limit = guardrail.limit
    if isinstance(limit, AbsoluteLimit):
        if not is_high(metric):
            return limit.value * limit.value / allowed
        # Half as large again as 80 % is no share; half of the room up to 1 is.
        return min(allowed, (1 + limit.value) / 2) if is_bounded(metric) else allowed
    return 1 + allowed if is_high(metric) else max(0.01, 1 - allowed)


class Healthy:
    """Judges whether a stage ruled out a regression beyond the tolerance."""

    def __init__(self, metric: MetricSpec, guardrail: Guardrail) -> None:
        rising = not is_high(metric)
        limit = guardrail.limit
        self._test: Evidence[Any]
        if isinstance(limit, AbsoluteLimit):
            self._test = one_arm(metric, edge(metric, guardrail), rising=rising)
        else:
            bound = Bound(edge(metric, guardrail), rising)
            self._test = joined(metric, bound, _MORE * limit.at_least, both=False)

    def start(self, stage: str) -> HealthyState:
        """Return the state before a stage's first window."""
        return HealthyState(stage, self._test.start())

    def absorb(self, state: HealthyState, stage: str, sums: Sequence[WindowSums]) -> HealthyState:
        """Add one window, to a fresh start if it is the first of its stage."""
        before = state if state.stage == stage else self.start(stage)
        return HealthyState(stage, self._test.absorb(before.evidence, sums))

    def log_e(self, state: HealthyState, stage: str) -> float:
        """Return log E of this stage; 0 before its first window."""
        return self._test.log_e(state.evidence) if state.stage == stage else 0.0


def is_ruled_out(log_e: float) -> bool:
    """Whether the evidence suffices."""
    return log_e >= log(1 / ALPHA)
