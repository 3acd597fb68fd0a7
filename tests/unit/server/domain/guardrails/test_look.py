"""What a look assumes."""

from __future__ import annotations

from rollout_server.domain.guardrails.look import ALPHA, Feed, Look
from tests.guardrail_windows import fair_ratio


def test_a_plain_look_promises_one_per_cent_and_sees() -> None:
    """Unless said otherwise a run is falsely rolled back at most once in a hundred, and its source is well."""
    plain = Look(run=1, stage="canary", ratio=fair_ratio())
    assert plain.alpha == ALPHA == 0.01
    assert plain.feed == Feed(expected=1, reporting=1, fault=None)
