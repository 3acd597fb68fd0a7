"""Bounds and what lies beyond them."""

from __future__ import annotations

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.mixtures import EFFECTS


def test_alternatives_lie_beyond_the_bound() -> None:
    """Above where evidence rises, below where it falls, one for each size."""
    assert all(ratio > 1.2 for ratio in Bound(1.2, rising=True).alternatives)
    assert all(0 < ratio < 0.97 for ratio in Bound(0.97, rising=False).alternatives)
    assert len(Bound(1.0, rising=True).alternatives) == len(EFFECTS)
