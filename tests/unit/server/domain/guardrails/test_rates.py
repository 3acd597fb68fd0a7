"""Exact tests of rates: expectations enumerated, and what they find."""

from __future__ import annotations

from itertools import product
from math import exp, factorial, log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.rates import Rates, closest_null, poissonised, safe_2x2
from tests.guardrail_windows import ERRORS, binomial, expectation, had, window, world

BOUNDS = (1.0, 1.2, 0.97, 0.8)
SIZES = (0.04, 0.4, 1.5, 4.0)
ARMS = ((3, 9), (8, 8), (12, 2))
LEVELS = (0.01, 0.1, 0.4, 0.8, 0.999)
EDGE = 1 + 1e-9


def nulls(bound: float, sign: int, p_c: float) -> list[float]:
    """Rates of the candidate at the edge of the null and inside it."""
    edge = bound * p_c
    inside = [edge, edge * 0.6, 0.0] if sign > 0 else [edge, (edge + 1) / 2, 1.0]
    return [p_t for p_t in inside if 0 <= p_t <= 1 and (p_t <= edge if sign > 0 else p_t >= edge)]


@pytest.mark.parametrize(("bound", "sign", "size"), list(product(BOUNDS, (1, -1), SIZES)))
def test_the_poissonised_increment_expects_at_most_one(bound: float, sign: int, size: float) -> None:
    """Over the whole null, every outcome enumerated, the increment is an e-variable for binomial sums."""
    ratio = bound * exp(sign * size)
    for (n_t, n_c), p_c in product(ARMS, LEVELS):
        for p_t in nulls(bound, sign, p_c):
            found = expectation(
                n_t,
                p_t,
                n_c,
                p_c,
                lambda x_t, x_c, n_t=n_t, n_c=n_c: poissonised(n_t, x_t, n_c, x_c, ratio=ratio, bound=bound),
            )
            assert found <= EDGE


@pytest.mark.parametrize(("bound", "sign", "size"), list(product(BOUNDS, (1, -1), SIZES)))
def test_the_safe_2x2_increment_expects_at_most_one(bound: float, sign: int, size: float) -> None:
    """Over the whole null, whatever level was predicted, at limit 0 (Turner et al.) and at any other."""
    ratio = bound * exp(sign * size)
    for (n_t, n_c), p_c, level in product(ARMS, LEVELS, (0.03, 0.3, 0.95)):
        for p_t in nulls(bound, sign, p_c):
            found = expectation(
                n_t,
                p_t,
                n_c,
                p_c,
                lambda x_t, x_c, n_t=n_t, n_c=n_c, level=level: safe_2x2(
                    n_t, x_t, n_c, x_c, ratio=ratio, bound=bound, level=level
                ),
            )
            assert found <= EDGE


def test_the_poissonised_increment_is_exact_for_poisson_sums() -> None:
    """At the edge of the null its expectation is exactly 1."""

    def poisson(mean: float, x: int) -> float:
        return exp(-mean) * mean**x / factorial(x)

    n_t, n_c, level, bound, ratio = 20, 60, 0.03, 1.2, 2.0
    found = sum(
        poisson(n_t * level * bound, x_t)
        * poisson(n_c * level, x_c)
        * exp(poissonised(n_t, x_t, n_c, x_c, ratio=ratio, bound=bound))
        for x_t, x_c in product(range(40), range(40))
    )
    assert found == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("bound", "rising"), [(1.0, True), (1.2, True), (0.97, False)])
def test_a_whole_run_expects_at_most_one(bound: float, rising: bool) -> None:  # noqa: FBT001 - a case
    """Levels learnt, mixtures and all: E after two windows of the real state, every outcome enumerated."""
    test = Rates(Bound(bound, rising))
    p_c = 0.3
    p_t, n = bound * p_c, 3
    of_t, of_c = binomial(n, p_t), binomial(n, p_c)
    found = 0.0
    for xs in product(range(n + 1), repeat=4):
        state = test.absorb(test.start(), [window(0, had(n, xs[0]), had(n, xs[1]))])
        state = test.absorb(state, [window(1, had(n, xs[2]), had(n, xs[3]))])
        found += of_t[xs[0]] * of_c[xs[1]] * of_t[xs[2]] * of_c[xs[3]] * exp(test.log_e(state))
    assert found <= EDGE


def test_at_limit_zero_the_closest_null_is_the_pooled_rate() -> None:
    """The general root is the paper's case where the limit is 0."""
    assert closest_null(30, 0.4, 70, 0.2, 1.0) == pytest.approx(0.26)


def test_small_rates_need_no_prediction() -> None:
    """Where rates are small the two increments agree, so the change between them costs nothing."""
    arms = (200, 3, 1800, 9)
    exact = safe_2x2(*arms, ratio=1.5, bound=1.0, level=12 / 2000)
    assert poissonised(*arms, ratio=1.5, bound=1.0) == pytest.approx(exact, abs=0.02)


def test_a_shared_outage_is_not_blamed() -> None:
    """Both arms at a hundred times the level, and back, is no evidence against the candidate."""
    test = Rates(Bound(1.0, rising=True))
    state = test.start()
    for number in range(300):
        share = 0.5 if 100 <= number < 150 else 0.005
        state = test.absorb(state, [window(number, had(100, 100 * share), had(900, 900 * share))])
        assert test.log_e(state) < log(3)


def test_a_ramp_over_a_rising_level_is_not_blamed() -> None:
    """Pooled, the candidate would look twice as bad: it was exposed when times were bad (Simpson)."""
    test = Rates(Bound(1.0, rising=True))
    state = test.start()
    for number in range(200):
        exposed, share = (100, 0.01) if number < 100 else (900, 0.04)
        parts = [window(number, had(exposed, exposed * share), had(1000 - exposed, (1000 - exposed) * share))]
        state = test.absorb(state, parts)
    assert test.log_e(state) < 0


def test_a_doubled_rate_is_found() -> None:
    """A regression reaches 1/alpha, in the direction that harms."""
    test, found = Rates(Bound(1.2, rising=True)), None
    state = test.start()
    for parts in world(ERRORS, 2.0):
        state = test.absorb(state, parts)
        found = found or (parts[0].window if test.log_e(state) >= log(100) else None)
    assert found is not None
    falling = Rates(Bound(0.97, rising=False))
    state = falling.start()
    for parts in world(ERRORS, 2.0):
        state = falling.absorb(state, parts)
    assert falling.log_e(state) < 0


def test_small_strata_add_up() -> None:
    """Ten tenants that say little each say much together."""
    test = Rates(Bound(1.0, rising=True))
    together, alone = test.start(), test.start()
    for number in range(20):
        parts = [window(number, had(10, 2), had(10, 1), stratum=str(tenant)) for tenant in range(10)]
        together, alone = test.absorb(together, parts), test.absorb(alone, parts[:1])
    assert test.log_e(together) > log(100) > test.log_e(alone) + 1


def test_one_arm_alone_is_no_evidence() -> None:
    """Without a concurrent arm of equal reach there is nobody to compare with."""
    test = Rates(Bound(1.0, rising=True))
    state = test.start()
    for number in range(50):
        state = test.absorb(state, [window(number, had(100, 90), Cell()), window(number, Cell(), had(100, 1))])
    assert test.log_e(state) == pytest.approx(0, abs=1e-9)
