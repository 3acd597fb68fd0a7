"""What people do today, on the same windows: each a function from both arms' sums by window to when it would roll back.

A window's index, or `NEVER`. All pool over strata and time, as they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.guardrails.worlds import WINDOWS, Run

NEVER = -1
Z_TEST = 1.645  # one-sided, 5 %
Z_FIXED = 2.326  # one-sided, 1 %
FAILURES = 3  # of the fixed threshold, as canary tools count them
THRESHOLD = 1.5  # candidate's level over the control's in one window
ALPHA = 0.01
RHO = 0.1  # of the confidence sequence: tightest at some hundreds of units


@dataclass(frozen=True, slots=True)
class Sums:
    """Both arms by window, strata pooled."""

    n_t: NDArray[np.float64]
    x_t: NDArray[np.float64]
    xx_t: NDArray[np.float64]
    n_c: NDArray[np.float64]
    x_c: NDArray[np.float64]
    xx_c: NDArray[np.float64]


def pooled(run: Run) -> Sums:
    """Return the sums that the baselines see."""
    columns = np.zeros((6, WINDOWS))
    for part in run.slices:
        for offset, arm in ((0, part.candidate), (3, part.control)):
            columns[offset : offset + 3] += np.array([(cell.n, cell.x, cell.xx) for cell in arm]).T
    return Sums(*columns)


def first(alarms: NDArray[np.bool_]) -> int:
    """Return the first look with an alarm."""
    return int(alarms.argmax()) if alarms.any() else NEVER


def _cumulative(sums: Sums) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the running difference of means, its variance, and the running number of outcomes."""
    n_t, n_c = np.cumsum(sums.n_t), np.cumsum(sums.n_c)
    with np.errstate(all="ignore"):
        mean_t, mean_c = np.cumsum(sums.x_t) / n_t, np.cumsum(sums.x_c) / n_c
        spread_t = np.maximum(np.cumsum(sums.xx_t) / n_t - mean_t**2, 0) / n_t
        spread_c = np.maximum(np.cumsum(sums.xx_c) / n_c - mean_c**2, 0) / n_c
    return mean_t - mean_c, spread_t + spread_c, n_t + n_c


def z_test(sums: Sums, sign: int, z: float) -> int:
    """A z-test of the totals at every look."""
    difference, variance, _ = _cumulative(sums)
    with np.errstate(all="ignore"):
        score = sign * difference / np.sqrt(variance)
    return first((score > z) & np.isfinite(score))


def threshold(sums: Sums, sign: int) -> int:
    """A fixed threshold on each window alone, and a number of failures in all."""
    with np.errstate(all="ignore"):
        ratio = (sums.x_t / sums.n_t) / (sums.x_c / sums.n_c)
    failed = ratio > THRESHOLD if sign > 0 else ratio < 1 / THRESHOLD
    return first(np.cumsum(failed & np.isfinite(ratio)) >= FAILURES)


def confidence_sequence(sums: Sums, sign: int) -> int:
    """A one-sided asymptotic confidence sequence on the pooled difference (Waudby-Smith et al. 2024)."""
    difference, variance, n = _cumulative(sums)
    with np.errstate(all="ignore"):
        time = n * RHO**2
        radius = np.sqrt(variance) * np.sqrt(2 * (time + 1) / time * np.log1p(np.sqrt(time + 1) / (2 * ALPHA)))
    return first((sign * difference > radius) & np.isfinite(radius))


def alarms(run: Run, sign: int) -> Mapping[str, int]:
    """Return when each baseline would roll back."""
    sums = pooled(run)
    return {
        "z 5%": z_test(sums, sign, Z_TEST),
        "z 1%": z_test(sums, sign, Z_FIXED),
        "threshold": threshold(sums, sign),
        "asymptotic CS": confidence_sequence(sums, sign),
    }
