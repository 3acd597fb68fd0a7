"""What every family of tests offers: a state, windows added one by one, and the logarithm of its e-process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from rollout_server.domain.guardrails.data import WindowSums

S = TypeVar("S")


class Evidence(Protocol[S]):
    """A test of one null hypothesis; it holds settings, the state is the caller's."""

    def start(self) -> S:
        """Return the state before the first window: log E is 0."""

    def absorb(self, state: S, sums: Sequence[WindowSums]) -> S:
        """Add one window, whole: every stratum, allocation and reach of it. Called once per window, in order."""

    def log_e(self, state: S) -> float:
        """Return log E; E is at least 1/alpha with probability at most alpha over all looks, while the null holds."""
