"""The contract of every family of tests."""

from __future__ import annotations

from math import log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.families import joined
from tests.guardrail_windows import KINDS, window, world


@pytest.mark.parametrize("kind", KINDS)
def test_e_starts_at_one_and_silence_is_no_evidence(kind: str) -> None:
    """Before the first window, after empty windows, and after windows without any stratum, E is 1."""
    test = joined(KINDS[kind], Bound(1.1, rising=True), 0.0, both=True)
    state = test.start()
    assert test.log_e(state) == pytest.approx(0)
    for number in range(200):
        state = test.absorb(state, [window(number, Cell(), Cell())] if number % 2 else [])
    assert test.log_e(state) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arms_are_no_evidence_and_absorbing_changes_no_state(kind: str) -> None:
    """Nothing wrong stays far from an alarm; a state is never edited in place."""
    test = joined(KINDS[kind], Bound(1.0, rising=True), 0.0, both=True)
    state = test.start()
    for parts in world(KINDS[kind], 1.0, windows=40, seed=5):
        after = test.absorb(state, parts)
        assert test.absorb(state, parts) == after
        state = after
        assert test.log_e(state) < log(100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_margin_beside_the_ratio_only_lessens_evidence(kind: str) -> None:
    """With `at_least` a regression must pass both edges, so E is never larger than without."""
    metric = KINDS[kind]
    with_margin = joined(metric, Bound(1.0, rising=True), 0.01, both=True)
    without = joined(metric, Bound(1.0, rising=True), 0.0, both=True)
    first, second = with_margin.start(), without.start()
    for parts in world(metric, 1.5, windows=40):
        first, second = with_margin.absorb(first, parts), without.absorb(second, parts)
        assert with_margin.log_e(first) <= without.log_e(second) + 1e-9
