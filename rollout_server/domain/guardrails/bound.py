"""The edge between "no regression beyond the limit" and "regression", and the side on which evidence grows."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from rollout_server.domain.guardrails.mixtures import EFFECTS


@dataclass(frozen=True, slots=True)
class Bound:
    """A one-sided null hypothesis on candidate against control.

    Attributes:
        ratio: r0; the null is "candidate is at most (rising) or at least (falling) r0 times the control".
        rising: evidence against the null grows when the candidate is above it.
        margin: the null is about the candidate less this margin, in the metric's own unit; for `at_least`.
    """

    ratio: float
    rising: bool
    margin: float = 0.0

    @property
    def alternatives(self) -> tuple[float, ...]:
        """Ratios beyond the bound, one for each of `mixtures.EFFECTS`."""
        sign = 1 if self.rising else -1
        return tuple(self.ratio * exp(sign * size) for size in EFFECTS)
