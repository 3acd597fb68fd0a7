"""Waits between attempts."""

# ruff: noqa: S311 - waits are no secrets
import heapq
import random
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.backoff import GROWTH_MAX, backoff_ms, redial_ms
from rollout_sdk.settings import Settings
from rollout_server.api.speaking import return_within_ms

CLIENTS = 10_000
WINDOW_MS = 100


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


def arrivals_ms(base_ms: int, down_ms: int, seed: int, clients: int = CLIENTS) -> list[float]:
    """Return when clients dial, cut off together at 0 by a server that takes nobody before `down_ms`."""
    rng = random.Random(seed)
    most_ms = Settings().backoff_max_ms
    due = [(redial_ms(0, base_ms, most_ms, rng), 0) for _ in range(clients)]
    heapq.heapify(due)
    arrivals: list[float] = []
    while due:
        at_ms, attempt = heapq.heappop(due)
        arrivals.append(at_ms)
        if at_ms < down_ms:
            heapq.heappush(due, (at_ms + redial_ms(attempt + 1, base_ms, most_ms, rng), attempt + 1))
    return arrivals


@pytest.mark.parametrize("down_ms", [0, 500, 5_000, 60_000])
@pytest.mark.parametrize("base_ms", [Settings().backoff_base_ms, return_within_ms(CLIENTS)], ids=["alone", "told"])
def test_in_no_tenth_of_a_second_do_five_in_a_hundred_dial(base_ms: int, down_ms: int) -> None:
    """Promise 14, attempts that fail included; everybody is back within a minute of the server."""
    arrivals = arrivals_ms(base_ms, down_ms, seed=down_ms)
    peak = max(number - bisect_left(arrivals, at_ms - WINDOW_MS) for number, at_ms in enumerate(arrivals, start=1))
    assert peak < 0.05 * CLIENTS
    assert arrivals[-1] < down_ms + 60_000


@pytest.mark.parametrize("clients", [4, 1_000])
@pytest.mark.parametrize(("down_ms", "spread"), [(1_000, 2), (5_000, GROWTH_MAX), (600_000, GROWTH_MAX)])
def test_a_crowd_that_is_small_is_back_soon_however_long_its_server_was_away(
    clients: int, down_ms: int, spread: int
) -> None:
    """A thousand within 0.8 s of a restart, within 3.2 s of a long outage: a rollback waits no longer than that."""
    within_ms = return_within_ms(clients)
    assert max(arrivals_ms(within_ms, down_ms, 1, clients)) <= down_ms + spread * within_ms <= down_ms + spread * 400
