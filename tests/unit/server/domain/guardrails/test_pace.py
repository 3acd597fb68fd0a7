"""How long verdicts take."""

from __future__ import annotations

from math import log

import pytest

from rollout_server.domain.guardrails.pace import divergence, nats, windows_left, windows_needed


def test_nats_at_limit_zero_use_the_pooled_rate() -> None:
    """The closest common rate is the pooled one, so the minimum is known."""
    pooled = (30 * 0.4 + 70 * 0.2) / 100
    expected = 30 * divergence(0.4, pooled) + 70 * divergence(0.2, pooled)
    assert nats(30, 0.4, 70, 0.2) == pytest.approx(expected)


def test_nats_shrink_towards_the_limit() -> None:
    """A regression just beyond the limit carries little, one at it none, and one arm none."""
    assert nats(100, 0.2, 100, 0.1, 1.2) < nats(100, 0.2, 100, 0.1)
    assert nats(100, 0.12, 100, 0.1, 1.2) == pytest.approx(0, abs=1e-9)
    assert nats(0, 0.2, 100, 0.1) == 0
    assert divergence(0.0, 0.5) == divergence(1.0, 0.5) == pytest.approx(log(2))


def test_windows_needed_and_left() -> None:
    """Half the error is a quarter of the time; what is proven already counts; without a pace nothing is told."""
    assert windows_needed(0.1, 0.01) == 67
    assert windows_needed(0.0, 0.01) is None
    slow, fast = windows_left(0.2, 60, 0.3, 2.0, 0.05), windows_left(0.1, 60, 0.3, 2.0, 0.05)
    assert slow is not None
    assert fast is not None
    assert slow == pytest.approx(4 * fast, abs=4)
    assert windows_left(0.1, 60, 0.3, 3.1, 0.05) == 0
    assert windows_left(0.0, 60, 0.3, 0.0, 0.05) is None
    assert windows_left(0.1, 60, 0.0, 0.0, 0.05) is None
