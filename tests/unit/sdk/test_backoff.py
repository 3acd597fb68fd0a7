"""Waits between attempts."""

# ruff: noqa: S311 - waits are no secrets
import random

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.backoff import backoff_ms


@given(st.integers(0, 10_000), st.integers(1, 1_000), st.integers(1, 60_000), st.integers())
def test_backoff_is_full_jitter_below_a_bound_that_doubles(attempt: int, base: int, most: int, seed: int) -> None:
    """Between nothing and the bound, and never above the maximum."""
    wait = backoff_ms(attempt, base, most, random.Random(seed))
    assert 0 <= wait <= min(most, base * 2 ** min(attempt, 32))


def test_a_crowd_that_was_cut_off_together_does_not_come_back_together() -> None:
    """Promise 14: 10,000 clients spread evenly; no tenth of the time gets more than its share and a bit."""
    waits = [backoff_ms(4, 250, 30_000, random.Random(seed)) for seed in range(10_000)]
    tenths = [0] * 10
    for wait in waits:
        tenths[min(9, int(wait / 400))] += 1
    assert max(tenths) < 1_150
    assert min(tenths) > 850
