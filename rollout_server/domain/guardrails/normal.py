"""Normal mixtures (Howard, Ramdas, McAuliffe and Sekhon 2021) and the normal distribution they need.

For a sum S with intrinsic time V, exp(eta S - eta^2 V / 2) is an e-process for each eta; mixing eta over a
half-normal density of precision rho gives the one-sided form, over a normal density the two-sided one:

    one-sided  2 sqrt(rho / (V + rho)) exp(S^2 / (2 (V + rho))) Phi(S / sqrt(V + rho))
    two-sided    sqrt(rho / (V + rho)) exp(S^2 / (2 (V + rho)))
"""

from __future__ import annotations

from math import erfc, log, log1p, sqrt

_TAIL = -30.0  # erfc underflows at -38
_STEPS = 200  # halvings; floats run out after about 60


def log_cdf(z: float) -> float:
    """Return ln Phi(z), exact enough in the far lower tail too (Mills' ratio, Abramowitz and Stegun 26.2.12)."""
    if z > _TAIL:
        return log(0.5 * erfc(-z / sqrt(2)))
    return -0.5 * z * z - log(-z) - 0.9189385332046727 - 1 / (z * z)


def one_sided(s: float, v: float, rho: float) -> float:
    """Return the logarithm of the one-sided mixture."""
    total = v + rho
    return log(2) + 0.5 * log(rho / total) + s * s / (2 * total) + log_cdf(s / sqrt(total))


def two_sided(s: float, v: float, rho: float) -> float:
    """Return the logarithm of the two-sided mixture."""
    total = v + rho
    return 0.5 * log(rho / total) + s * s / (2 * total)


def best_rho(v: float, alpha: float) -> float:
    """Return the precision whose two-sided boundary at intrinsic time v is about the lowest (their section 3.2).

    For one side, at 2 alpha.
    """
    twice = 2 * log(1 / alpha)
    return v / (twice + log1p(twice))


def boundary(v: float, alpha: float, rho: float, *, sides: int = 2) -> float:
    """Return the sum S at which the mixture reaches 1 / alpha."""
    if sides == 2:  # noqa: PLR2004 - one or two sides
        return sqrt((v + rho) * log((v + rho) / (alpha * alpha * rho)))
    low, high = 0.0, 2 * sqrt((v + rho) * log((v + rho) / (alpha * alpha * rho)))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if one_sided(middle, v, rho) < log(1 / alpha) else (low, middle)
    return high


def normal_of_t(t: float, freedom: float) -> float:
    """Return the normal deviate with about the tail of Student's t (Wallace 1959); good to 0.1 % from 3 degrees on."""
    z = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log1p(t * t / freedom))
    return z if t >= 0 else -z
