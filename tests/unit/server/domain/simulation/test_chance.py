"""Luck that repeats, and is as lucky as it says."""

from __future__ import annotations

from math import sqrt

import pytest

from rollout_server.domain.simulation.chance import Chance

DRAWS = 4_000


def mean_and_variance(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


def test_the_same_seed_draws_the_same() -> None:
    """On every machine: the first draws of two seeds are pinned."""
    first, again, other = Chance(1), Chance(1), Chance(2)
    drawn = [first.uniform() for _ in range(5)]
    assert drawn == [again.uniform() for _ in range(5)]
    assert drawn != [other.uniform() for _ in range(5)]
    assert [round(Chance(seed).uniform(), 6) for seed in (0, 1)] == [0.566562, 0.745782]


def test_uniform_and_normal() -> None:
    """Mean and variance are those of the law."""
    chance = Chance(3)
    assert mean_and_variance([chance.uniform() for _ in range(DRAWS)]) == pytest.approx((0.5, 1 / 12), abs=0.02)
    assert mean_and_variance([chance.normal() for _ in range(DRAWS)]) == pytest.approx((0.0, 1.0), abs=0.08)


@pytest.mark.parametrize("mean", [0.1, 3.0, 29.0, 31.0, 4_000.0])
def test_poisson(mean: float) -> None:
    """Mean and variance are the mean, drawn one by one or as a normal."""
    chance = Chance(4)
    found, variance = mean_and_variance([chance.poisson(mean) for _ in range(DRAWS)])
    assert found == pytest.approx(mean, abs=5 * sqrt(mean / DRAWS) + 0.01)
    assert variance == pytest.approx(mean, rel=0.15)
    assert chance.poisson(0) == 0


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (20, 0.1), (1_000, 0.01), (200, 0.9), (50_000, 0.3)])
def test_binomial(count: int, share: float) -> None:
    """Mean n p, variance n p (1 - p), never outside of 0 and n."""
    chance = Chance(5)
    drawn = [chance.binomial(count, share) for _ in range(DRAWS)]
    found, variance = mean_and_variance([float(one) for one in drawn])
    spread = count * share * (1 - share)
    assert found == pytest.approx(count * share, abs=5 * sqrt(spread / DRAWS))
    assert variance == pytest.approx(spread, rel=0.15)
    assert 0 <= min(drawn) <= max(drawn) <= count


def test_what_is_certain_is_not_drawn() -> None:
    """All, none, and nobody."""
    chance = Chance(6)
    assert [chance.binomial(7, share) for share in (0.0, 1.0, -1.0, 2.0)] == [0, 7, 0, 7]
    assert chance.binomial(0, 0.5) == 0
