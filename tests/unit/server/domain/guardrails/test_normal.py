"""Normal mixtures: the published figures, and the distribution they need."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import pytest

from rollout_server.domain.guardrails.normal import (
    best_rho,
    boundary,
    log_cdf,
    normal_of_t,
    one_sided,
    two_sided,
)


def test_published_boundaries_are_reproduced() -> None:
    """Howard et al. 2021: at intrinsic time 100, alpha 0.05, tuned for 100."""
    assert boundary(100, 0.05, best_rho(100, 0.05)) == pytest.approx(30.35209, abs=5e-5)
    assert boundary(100, 0.05, best_rho(100, 0.1), sides=1) == pytest.approx(27.66071, abs=5e-5)


@pytest.mark.parametrize("mixture", [one_sided, two_sided])
def test_a_mixture_expects_one(mixture: object) -> None:
    """Under the null, S normal with variance V, the mixture's expectation is 1."""
    assert callable(mixture)
    v, rho, step = 4.0, 3.0, 0.01
    found = sum(
        step * exp(-(s * s) / (2 * v)) / sqrt(2 * pi * v) * exp(mixture(s, v, rho))
        for s in (step * number for number in range(-6000, 6000))
    )
    assert found == pytest.approx(1, abs=1e-3)


def test_the_far_tail_joins_the_near_one() -> None:
    """The two formulas of the lower tail meet, and it keeps falling."""
    assert log_cdf(-30.0001) == pytest.approx(log_cdf(-29.9999), rel=2e-5)
    assert log_cdf(-1e6) < log_cdf(-100) < log_cdf(0) == pytest.approx(log(0.5))


@pytest.mark.parametrize(("t", "freedom", "z"), [(2.262157, 9, 1.959964), (2.998, 63, 2.8905), (3.0, 1e9, 3.0)])
def test_students_t_becomes_normal(t: float, freedom: float, z: float) -> None:
    """A quantile of t has the tail of the normal quantile it becomes; signs are kept."""
    assert normal_of_t(t, freedom) == pytest.approx(z, rel=2e-3)
    assert normal_of_t(-t, freedom) == -normal_of_t(t, freedom)
